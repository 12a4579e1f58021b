"""A LiteLLM callback that writes the rows which its database would get, as JSON lines. Copied beside a
proxy's configuration, so it stands alone."""

import json
import os
from typing import Any

from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy.spend_tracking.spend_tracking_utils import get_logging_payload


class Rows(CustomLogger):
    """To the file that LOG_ROWS names."""

    async def async_log_success_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        self._write(kwargs, response_obj, start_time, end_time)

    async def async_log_failure_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        self._write(kwargs, response_obj, start_time, end_time)

    def _write(self, *told: Any) -> None:
        row = get_logging_payload(*told)
        with open(os.environ["LOG_ROWS"], "a") as file:
            file.write(json.dumps(row, default=str) + "\n")


rows = Rows()
