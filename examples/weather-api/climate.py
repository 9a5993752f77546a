"""The climate of a few cities, and a plausible day in it: the same city and day always have the same weather."""

from __future__ import annotations

import datetime
import hashlib
import math
from typing import NamedTuple


class City(NamedTuple):
    """`warmest` is the day of the year that is usually the warmest; temperatures are in °C, `rain` a chance (0-1)."""

    name: str
    mean: float
    swing: float
    warmest: int
    rain: float


class Weather(NamedTuple):
    city: str
    date: str
    temperature: float
    sky: str


CITIES = {
    city.name.casefold(): city
    for city in (
        City("Bogotá", 13.5, 0.6, 75, 0.50),
        City("Lima", 19.5, 3.5, 45, 0.05),
        City("Managua", 27.0, 1.5, 115, 0.35),
        City("Montevideo", 16.8, 6.2, 20, 0.25),
        City("Oaxaca", 20.5, 2.5, 125, 0.25),
        City("Punta Arenas", 6.0, 4.8, 15, 0.30),
    )
}


def weather(city: City, day: datetime.date) -> Weather:
    """The year's wave, a day's own whim, and rain as often as the climate has it."""
    whim, luck = _whims(city, day)
    season = math.cos(2 * math.pi * (day.timetuple().tm_yday - city.warmest) / 365.25)
    temperature = city.mean + city.swing * season + (whim - 0.5) * 6
    sky = "rain" if luck < city.rain else "clouds" if luck < city.rain + 0.3 else "sun"
    return Weather(city.name, day.isoformat(), round(temperature, 1), sky)


def _whims(city: City, day: datetime.date) -> tuple[float, float]:
    digest = hashlib.sha256(f"{city.name} {day}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32, int.from_bytes(digest[4:8], "big") / 2**32
