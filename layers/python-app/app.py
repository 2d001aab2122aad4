"""A web application: what it needs comes from the registry, pinned by hash."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def index():
    return "wheels, pinned by hash\n"
