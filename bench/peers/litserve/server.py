"""LitServe around the model written by hand; one worker, as it is by default."""

# Without postponed annotations: LitServe reads the one of `decode_request` as it is.

import os
import sys
from typing import Any

import litserve
from ner import Ner


class NerApi(litserve.LitAPI):
    """One request at a time: batches of unlike texts would only be padded."""

    def setup(self, device: str) -> None:
        """Load the model in the worker."""
        del device  # there is only the CPU
        self.model = Ner(os.environ["SM_MODEL_DIR"])

    def decode_request(self, request: dict[str, Any]) -> list[str]:
        """The texts of a body."""
        return request["strings"]

    def predict(self, strings: list[str]) -> list[list[dict[str, Any]]]:
        """The entities of each text."""
        return self.model.predict(strings)

    def encode_response(self, output: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
        """As they are: LitServe writes JSON."""
        return output


if __name__ == "__main__":
    api = NerApi(api_path="/invocations")
    server = litserve.LitServer(api, accelerator="cpu", healthcheck_path="/ping")
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning"
    )
