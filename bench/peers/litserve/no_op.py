"""LitServe with a handler that does nothing but count characters."""

# Without postponed annotations: LitServe reads the one of `decode_request` as it is.

import sys
from typing import Any

import litserve


class LengthApi(litserve.LitAPI):
    """The length of each text."""

    def setup(self, device: str) -> None:
        """Nothing to load."""

    def decode_request(self, request: dict[str, Any]) -> list[str]:
        """The texts of a body."""
        return request["strings"]

    def predict(self, strings: list[str]) -> list[int]:
        """Their lengths."""
        return [len(text) for text in strings]

    def encode_response(self, output: list[int]) -> list[int]:
        """As they are: LitServe writes JSON."""
        return output


if __name__ == "__main__":
    api = LengthApi(api_path="/invocations")
    server = litserve.LitServer(api, accelerator="cpu", healthcheck_path="/ping")
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning"
    )
