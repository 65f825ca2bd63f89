"""A site with a search page and an application factory: python examples/flask/app.py [--port 5000]."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from flask import Flask, redirect, render_template_string, request
from sqlalchemy import func, select

from rowspace import Document
from rowspace.embedded import EmbeddedServer
from rowspace.integrations.flask import Rowspace, add_problem_handlers, make_blueprint
from rowspace.migrations import upgrade

RECIPES = {
    "bread": ("Mix flour, water, salt and yeast; let the dough rise and bake it in a hot oven.", 180),
    "pancakes": ("Whisk eggs, milk and flour into a thin batter and fry it in butter.", 20),
    "soup": ("Simmer carrots, leeks and potatoes in stock until they are soft.", 45),
    "salad": ("Tear lettuce, slice tomatoes, and dress them with oil and vinegar.", 10),
    "粥": ("大米加水煮成粥。", 60),
}

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Recipes</title>
<h1>{{ size }} recipes</h1>
<form><label>Search <input name="q" value="{{ query }}"></label> <button>Go</button></form>
<ol>{% for hit in hits %}<li><strong>{{ hit.id }}</strong>: {{ hit.content }} ({{ hit.metadata.minutes }} minutes)
{% endfor %}</ol>
<form method="post"><label>Name <input name="name" required></label> <label>Text <input name="text" required></label>
<label>Minutes <input name="minutes" type="number" value="30"></label> <button>Add</button></form>
"""

rowspace = Rowspace()


def create_app(config: dict[str, Any] | None = None) -> Flask:
    """Return the application. `flask --app examples/flask/app.py rowspace` runs its commands."""
    app = Flask(__name__)
    app.config.update(config or {})
    rowspace.init_app(app)
    app.register_blueprint(make_blueprint())
    add_problem_handlers(app)

    @app.get("/")
    def home() -> str:
        """Search in the session of the request."""
        query = request.args.get("q", "")
        hits = rowspace.searches.search("recipes", query, k=3, mode="hybrid") if query else []
        size = rowspace.session.scalar(select(func.count()).select_from(Document))
        return render_template_string(PAGE, query=query, hits=hits, size=size)

    @app.post("/")
    def add() -> Any:
        """Add a recipe. The request commits it, or rolls it back on an error."""
        recipe = {"id": request.form["name"], "content": request.form["text"]}
        rowspace.documents.add("recipes", [{**recipe, "metadata": {"minutes": request.form.get("minutes", type=int)}}])
        return redirect("/")

    return app


def fill(app: Flask) -> None:
    """Bring the tables up to date and load the recipes."""
    with app.app_context():
        upgrade(rowspace.database.engine)
        rowspace.documents.create_collection("recipes", exist_ok=True)
        rows = [{"id": id_, "content": text, "metadata": {"minutes": time}} for id_, (text, time) in RECIPES.items()]
        rowspace.documents.add("recipes", rows)
        rowspace.session.commit()


def main() -> None:
    """Serve on an embedded server, in a directory that is deleted afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=5000)
    port = parser.parse_args().port
    # Raise an exception, so that the embedded server stops too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="rs", ignore_cleanup_errors=True) as directory:
        server = EmbeddedServer(Path(directory) / "pg", keep=False)
        app = create_app({"ROWSPACE_DATABASE_URL": server.url.render_as_string(hide_password=False)})
        try:
            fill(app)
            app.run(port=port)
        finally:
            app.extensions["rowspace"].close()
            server.stop()


if __name__ == "__main__":
    main()
