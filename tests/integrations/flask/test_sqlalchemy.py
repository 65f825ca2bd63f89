"""Beside Flask-SQLAlchemy: on its engine, and in its session's transaction."""

from __future__ import annotations

import numpy as np
import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text

from rowspace.errors import ConfigurationError
from rowspace.integrations.flask import Rowspace, make_blueprint
from rowspace.testing import HashingEmbedder


@pytest.fixture(params=["postgresql+psycopg", "postgresql+psycopg2"])
def setting(request, new_database):
    """An application with a model of its own beside Rowspace's tables, on a database of the test."""
    db = SQLAlchemy()
    rowspace = Rowspace(sqlalchemy=db, embedder=HashingEmbedder(16))

    class Article(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        title = db.Column(db.String, nullable=False)

    app = Flask("beside")
    app.config["SQLALCHEMY_DATABASE_URI"] = new_database().replace("postgresql+psycopg", request.param)
    db.init_app(app)
    rowspace.init_app(app)
    app.register_blueprint(make_blueprint())
    with app.app_context():
        db.create_all()

    @app.post("/articles/<title>/<ending>")
    def add(title, ending):
        db.session.add(Article(title=title))
        rowspace.documents.create_collection("articles", exist_ok=True)
        rowspace.documents.add("articles", [{"id": title, "content": title}])
        if ending == "fail":
            raise ZeroDivisionError
        if ending == "commit":
            db.session.commit()
        return "done"

    yield app, db, rowspace, Article
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def counts(app, db, article):
    with app.app_context():
        titles = db.session.scalars(db.select(article.title)).all()
        return titles, db.session.scalars(text("SELECT id FROM documents")).all()


def test_one_transaction_for_both(setting):
    app, db, rowspace, article = setting
    client = app.test_client()
    assert client.post("/articles/first/fail").status_code == 500
    assert counts(app, db, article) == ([], [])
    # Who does not commit has written nothing, as ever with Flask-SQLAlchemy.
    client.post("/articles/second/leave")
    assert counts(app, db, article) == ([], [])
    client.post("/articles/third/commit")
    assert counts(app, db, article) == (["third"], ["third"])
    with app.test_request_context():
        assert rowspace.session is db.session()
        assert rowspace.database.engine is db.engine


def test_one_rollback_undoes_both(setting):
    app, db, rowspace, article = setting
    with app.app_context():
        rowspace.documents.create_collection("kept")
        db.session.commit()
        db.session.add(article(title="gone"))
        rowspace.documents.add("kept", ["gone"])
        assert rowspace.searches.search("kept", "gone")[0].content == "gone"
        db.session.rollback()
        assert rowspace.documents.count("kept") == 0
        # A call that fails undoes itself alone.
        db.session.add(article(title="stays"))
        with pytest.raises(ValueError, match="dimension"):
            rowspace.documents.add("kept", [{"content": "x", "embedding": [1.0]}])
        db.session.commit()
    assert counts(app, db, article) == (["stays"], [])


def test_vectors_come_and_go_on_the_shared_engine(setting):
    app, _, rowspace, _ = setting
    client = app.test_client()
    client.post("/api/collections", json={"name": "vectors"})
    documents = [{"id": str(n), "content": "x", "embedding": [float(n == i) for i in range(16)]} for n in range(3)]
    assert client.post("/api/collections/vectors/documents", json={"documents": documents}).json["inserted"] == 3
    body = {"collection": "vectors", "vector": documents[1]["embedding"], "k": 1}
    assert client.post("/api/search", json=body).json["hits"][0]["id"] == "1"
    with app.app_context():
        found = rowspace.session.execute(text("SELECT count(*) FROM documents WHERE embedding IS NOT NULL"))
        assert found.scalar() == 3
        assert np.isclose(rowspace.searches.search("vectors", documents[2]["embedding"])[0].distance, 0)


def test_the_order_of_initialisation_is_told():
    rowspace = Rowspace(sqlalchemy=SQLAlchemy(), embedder=HashingEmbedder(4))
    app = Flask("early")
    with pytest.raises(ConfigurationError, match=r"db\.init_app"):
        rowspace.init_app(app)
    app.config["ROWSPACE_SCHEMA"] = "other"
    with pytest.raises(ConfigurationError, match="search_path"):
        rowspace.init_app(app)
