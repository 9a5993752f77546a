"""Quotes: a page with a quote, and the same as JSON.

GET /              the page
GET /api/quotes    every quote; ?author= narrows it down
GET /api/quote     one quote: the day's, or ?number=
GET /healthz       whether the service is well
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import sys
from pathlib import Path

import waitress
from flask import Flask, Response, abort, jsonify, render_template_string, request

TITLE = "Quotes"
QUOTES = json.loads(Path(__file__).with_name("quotes.json").read_text(encoding="utf-8"))

PAGE = """<!doctype html>
<html lang="en">
  <meta charset="utf-8">
  <title>{{ title }}</title>
  <h1>{{ title }}</h1>
  <blockquote>{{ quote.text }}</blockquote>
  <p>{{ quote.author }}</p>
</html>
"""

app = Flask(__name__)


def quote_of_the_day() -> dict[str, str]:
    return QUOTES[datetime.date.today().toordinal() % len(QUOTES)]


@app.get("/")
def page() -> str:
    return render_template_string(PAGE, title=TITLE, quote=quote_of_the_day())


@app.get("/api/quotes")
def quotes() -> Response:
    author = request.args.get("author", "").casefold()
    return jsonify([quote for quote in QUOTES if author in quote["author"].casefold()])


@app.get("/api/quote")
def quote() -> Response:
    number = request.args.get("number", type=int)
    if number is None:
        return jsonify(quote_of_the_day())
    if not 0 <= number < len(QUOTES):
        abort(404, f"quotes have the numbers 0 to {len(QUOTES) - 1}")
    return jsonify(QUOTES[number])


@app.get("/healthz")
def healthz() -> Response:
    return jsonify(status="well", quotes=len(QUOTES))


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
