"""FastAPI (extra `fastapi`): a router for your application, an application of its own, and sessions.

They serve the REST contract of `rowspace.integrations.rest` with `AsyncDocumentService`, async end to end.
"""

from rowspace._optional import require

require("fastapi", extra="fastapi")

from rowspace.integrations.fastapi.app import create_app  # noqa: E402 -- after the check that names the extra
from rowspace.integrations.fastapi.problems import add_problem_handlers  # noqa: E402
from rowspace.integrations.fastapi.router import make_router  # noqa: E402
from rowspace.integrations.fastapi.sessions import session_of  # noqa: E402

__all__ = ["add_problem_handlers", "create_app", "make_router", "session_of"]
