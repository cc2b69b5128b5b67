"""Flask with a handler that does nothing but count characters."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request

app = Flask(__name__)


@app.route("/ping")
def ping() -> str:
    return "pong"


@app.route("/invocations", methods=["POST"])
def invocations() -> Response:
    return jsonify([len(text) for text in request.get_json()["strings"]])
