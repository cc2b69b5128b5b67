"""What a user's function learns of a request, and says about its answer, besides the data.

`Context` is what `predict(data, model, context)` gets. `ToolkitContext` is the
same with the methods of the model server under AWS's toolkits, where requests
come in lists of one and are named by their index:
https://github.com/awslabs/multi-model-server/blob/master/mms/context.py
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from portside import contract

if TYPE_CHECKING:
    from pathlib import Path

    from portside.serving.invocation import Invocation

_logger: Final = logging.getLogger(__name__)


class Headers(Mapping[str, str]):
    """Headers of a request, found in any case: `headers["Content-Type"]`."""

    def __init__(self, lowered: Mapping[str, str]) -> None:
        self._lowered = lowered

    def __getitem__(self, name: str) -> str:
        """The value; KeyError without it."""
        return self._lowered[name.lower()]

    def __iter__(self) -> Iterator[str]:
        """Names, in lower case."""
        return iter(self._lowered)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._lowered)


class Context:
    """One request, as a third parameter of `predict` sees it."""

    def __init__(self, invocation: Invocation) -> None:
        self.request_id = invocation.request_id
        self.headers = Headers(invocation.headers)
        self.content_type = invocation.content_type
        """`Content-Type` as it was sent; None without one."""
        self.accept = invocation.accept
        """`Accept` as it was sent; None without one."""
        self.custom_attributes = self.headers.get(contract.HEADER_CUSTOM_ATTRIBUTES)
        """What the caller sent as custom attributes. SageMaker hands back to it those that are
        set in `response_headers`, and no others."""
        self.session = invocation.session
        """The sticky session of the request, with its `id` and a dict `state`; None without one."""
        self.response_headers: dict[str, str] = {}
        """Put headers of the answer here."""


class Metrics:
    """Takes what a handler measures, and writes it to the log."""

    def add_time(self, name: str, value: float, idx: int | None = None, unit: str = "ms") -> None:
        """A duration."""
        self.add_metric(name, value, unit, idx)

    def add_size(self, name: str, value: float, idx: int | None = None, unit: str = "MB") -> None:
        """A size."""
        self.add_metric(name, value, unit, idx)

    def add_percent(self, name: str, value: float, idx: int | None = None) -> None:
        """A share of a hundred."""
        self.add_metric(name, value, "percent", idx)

    def add_counter(self, name: str, value: float, idx: int | None = None) -> None:
        """A count."""
        self.add_metric(name, value, "count", idx)

    def add_metric(
        self,
        name: str,
        value: float,
        unit: str,
        idx: int | None = None,  # noqa: ARG002 - the model server's signature
        dimensions: object = None,  # noqa: ARG002 - likewise
    ) -> None:
        """Anything else."""
        _logger.info(
            "handler metric", extra={"fields": {"metric": name, "value": value, "unit": unit}}
        )


class ToolkitContext(Context):
    """The model server's context; an index is always 0, and so is not looked at."""

    def __init__(self, invocation: Invocation, *, system_properties: Mapping[str, Any]) -> None:
        super().__init__(invocation)
        self.system_properties = system_properties
        self.manifest: dict[str, Any] = {}
        self.model_name = "model"
        self.metrics = Metrics()
        self.response_status = 200

    @property
    def request_ids(self) -> Mapping[int, str]:
        """The request's id, by index."""
        return {0: self.request_id}

    @property
    def request_processor(self) -> list[ToolkitContext]:
        """In the model server an object of its own; here the context has its methods too."""
        return [self]

    def get_request_id(self, idx: int = 0) -> str:
        """The request's id."""
        return self.request_ids[idx]

    def get_request_header(self, idx: int, key: str) -> str | None:  # noqa: ARG002 - always 0
        """A header of the request, or None."""
        return self.headers.get(key)

    def get_all_request_header(self, idx: int) -> Mapping[str, str]:  # noqa: ARG002 - always 0
        """Every header of the request."""
        return self.headers

    def set_response_header(self, idx: int, key: str, value: str) -> None:  # noqa: ARG002 - always 0
        """Set a header of the answer."""
        self.response_headers[key] = value

    def get_response_headers(self, idx: int) -> Mapping[str, str]:  # noqa: ARG002 - always 0
        """The headers of the answer so far."""
        return self.response_headers

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Set the content type of the answer."""
        self.set_response_header(idx, "content-type", value)

    def get_response_content_type(self, idx: int) -> str | None:  # noqa: ARG002 - always 0
        """The content type of the answer, where the handler has set it."""
        return self.response_headers.get("content-type")

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:  # noqa: ARG002 - HTTP has no use for phrases any more
        """Set the status of the answer."""
        self.response_status = code

    def set_all_response_status(self, code: int = 200, phrase: str = "") -> None:
        """The same."""
        self.set_response_status(code, phrase)

    # The methods of a `request_processor`.

    def get_request_property(self, key: str) -> str | None:
        """A header of the request, or None."""
        return self.headers.get(key)

    def get_request_properties(self) -> Mapping[str, str]:
        """Every header of the request."""
        return self.headers

    def add_response_property(self, key: str, value: str) -> None:
        """Set a header of the answer."""
        self.response_headers[key] = value

    def report_status(self, code: int, reason_phrase: str | None = None) -> None:
        """Set the status of the answer."""
        self.set_response_status(code, reason_phrase or "")


def system_properties(model_dir: Path) -> dict[str, Any]:
    """What handlers ask of the server: above all `model_dir`, and `gpu_id` for `cuda:0`."""
    torch = sys.modules.get("torch")
    has_gpu = torch is not None and torch.cuda.is_available()
    return {
        "model_dir": str(model_dir),
        "gpu_id": 0 if has_gpu else None,
        "batch_size": 1,
        "server_name": "portside",
    }
