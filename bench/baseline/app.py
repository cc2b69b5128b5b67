"""The baseline: the Flask app that a tutorial on custom inference containers ends up with."""

from __future__ import annotations

import json
import os

from flask import Flask, Response, jsonify, request
from inference import load_model, predict

app = Flask(__name__)
pipe = load_model(os.environ["SM_MODEL_DIR"])


@app.route("/ping", methods=["GET"])
def ping() -> str:
    return "pong"


@app.route("/invocations", methods=["POST"])
def invocations() -> str | tuple[Response, int]:
    body = request.json
    if not isinstance(body, dict) or not isinstance(body.get("strings"), list):
        return jsonify({"error": "Invalid Request", "message": "Invalid input format."}), 400
    return json.dumps(predict(body["strings"], pipe), indent=4)
