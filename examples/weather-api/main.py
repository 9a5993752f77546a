"""Weather: today's weather in a few cities, from a climate table that is built in. Nothing outside is asked.

GET /                    the page
GET /api/weather         every city's weather today
GET /api/weather/CITY    one city's; ?date=YYYY-MM-DD for another day
GET /healthz             whether the service is well
"""

from __future__ import annotations

import datetime
import os
import signal
import sys

import waitress
from climate import CITIES, Weather, weather
from flask import Flask, Response, abort, jsonify, render_template_string, request

TITLE = "Weather"

PAGE = """<!doctype html>
<html lang="en">
  <meta charset="utf-8">
  <title>{{ title }}</title>
  <h1>{{ title }}, {{ day }}</h1>
  <table>
    {%- for city in report %}
    <tr><td>{{ city.city }}</td><td>{{ city.temperature }} °C</td><td>{{ city.sky }}</td></tr>
    {%- endfor %}
  </table>
</html>
"""

app = Flask(__name__)


def report(day: datetime.date) -> list[Weather]:
    return [weather(city, day) for city in CITIES.values()]


@app.get("/")
def page() -> str:
    today = datetime.date.today()
    return render_template_string(PAGE, title=TITLE, day=today.isoformat(), report=report(today))


@app.get("/api/weather")
def everywhere() -> Response:
    return jsonify([city._asdict() for city in report(datetime.date.today())])


@app.get("/api/weather/<name>")
def one(name: str) -> Response:
    city = CITIES.get(name.casefold())
    if city is None:
        abort(404, f"no such city; there are {', '.join(CITIES)}")
    try:
        day = datetime.date.fromisoformat(request.args.get("date", datetime.date.today().isoformat()))
    except ValueError:
        abort(400, "a date looks like 2026-01-31")
    return jsonify(weather(city, day)._asdict())


@app.get("/healthz")
def healthz() -> Response:
    return jsonify(status="well", cities=len(CITIES))


@app.after_request
def log(response: Response) -> Response:
    print(request.remote_addr, request.method, request.full_path.rstrip("?"), response.status_code)
    return response


if __name__ == "__main__":
    # As the first process of a container, nothing stops it unless it says so itself.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port = int(os.environ.get("PORT", "8000"))
    print(f"{TITLE}: listening on port {port}")
    waitress.serve(app, host="0.0.0.0", port=port, threads=4, ident=None)
