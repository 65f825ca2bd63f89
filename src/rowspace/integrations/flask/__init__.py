"""Flask (extra `flask`): an extension for the application factory, a blueprint with the REST contract, commands.

What is served is the contract of `rowspace.integrations.rest`, on the sync `DocumentService`. It works on its own
engine, or on that of Flask-SQLAlchemy and in its session's transaction.
"""

from rowspace._optional import require

for _module in ("flask", "prometheus_client", "pydantic_settings"):
    require(_module, extra="flask")

from rowspace.integrations.flask.app import create_app  # noqa: E402 -- after the word about the extra
from rowspace.integrations.flask.blueprint import make_blueprint  # noqa: E402
from rowspace.integrations.flask.extension import Rowspace  # noqa: E402
from rowspace.integrations.flask.problems import add_problem_handlers  # noqa: E402

__all__ = ["Rowspace", "add_problem_handlers", "create_app", "make_blueprint"]
