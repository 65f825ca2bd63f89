"""FastAPI (extra `fastapi`): a router for one's own application, an application to run as it is, sessions.

What is served is the REST contract of `rowspace.integrations.rest`, on `AsyncDocumentService`, async end to end.
"""

from rowspace._optional import require

require("fastapi", extra="fastapi")

from rowspace.integrations.fastapi.app import create_app  # noqa: E402 -- after the word about the extra
from rowspace.integrations.fastapi.problems import add_problem_handlers  # noqa: E402
from rowspace.integrations.fastapi.router import make_router  # noqa: E402
from rowspace.integrations.fastapi.sessions import session_of  # noqa: E402

__all__ = ["add_problem_handlers", "create_app", "make_router", "session_of"]
