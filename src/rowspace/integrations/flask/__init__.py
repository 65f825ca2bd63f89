"""Flask (extra `flask`): an extension for application factories, a blueprint with the REST contract, and commands.

They serve the contract of `rowspace.integrations.rest` with the sync `DocumentService`, either on an engine of their
own, or on the engine of Flask-SQLAlchemy and in the transaction of its session.
"""

from rowspace._optional import require

for _module in ("flask", "prometheus_client", "pydantic_settings"):
    require(_module, extra="flask")

from rowspace.integrations.flask.app import create_app  # noqa: E402 -- after the check that names the extra
from rowspace.integrations.flask.blueprint import make_blueprint  # noqa: E402
from rowspace.integrations.flask.extension import Rowspace  # noqa: E402
from rowspace.integrations.flask.problems import add_problem_handlers  # noqa: E402

__all__ = ["Rowspace", "add_problem_handlers", "create_app", "make_blueprint"]
