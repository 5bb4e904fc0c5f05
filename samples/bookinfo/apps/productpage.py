"""The page that people see: a book, its details, its reviews. GET /productpage

It asks the details and reviews services, and shows what it got: a service that does not answer
costs its own panel, never the page. Who signs in (any name) is passed on as the header `end-user`.
"""

import argparse
import html
import json
import os
from urllib.parse import quote, unquote

from common import NOT_FOUND, Client, Request, Response, arguments, as_json, serve
from page import COVER, SIGN_IN, STYLE

DETAILS_TIMEOUT_S = 3.0
REVIEWS_TIMEOUT_S = 3.0
REVIEWS_ATTEMPTS = 2
PRODUCT = {
    "id": 0,
    "title": "The Comedy of Errors",
    "descriptionHtml": "Two pairs of twins, one harbour town, and nobody who meets the one they think "
    "they meet: Shakespeare's shortest play keeps every thread in hand until the last scene.",
}
COOKIE = "bookinfo-user"


class ProductPage:
    """The page and its small API."""

    def __init__(self, details: str, reviews: str, ratings: str) -> None:
        self._details = Client(details, DETAILS_TIMEOUT_S)
        self._reviews = Client(reviews, REVIEWS_TIMEOUT_S)
        self._ratings = Client(ratings, REVIEWS_TIMEOUT_S)

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        if request.path in ("/", "/index.html"):
            return Response(302, headers={"location": "/productpage"})
        if request.path == "/productpage":
            return self._page(request)
        if request.path == "/login":
            return _signed_in(request)
        if request.path == "/logout":
            return _moved(f"{COOKIE}=; Path=/; Max-Age=0")
        if request.path.startswith("/api/v1/products"):
            return self._api(request)
        return NOT_FOUND

    def _page(self, request: Request) -> Response:
        user, headers = _user(request), _headers(request)
        details_status, details = self._ask(self._details, "/details/0", headers)
        status, reviews = self._ask(self._reviews, "/reviews/0", headers, REVIEWS_ATTEMPTS)
        parts = [
            _head(user),
            _details(details if details_status == 200 else None),
            _reviews(reviews if status == 200 else None),
            "</main></body></html>",
        ]
        return Response(200, "".join(parts).encode(), "text/html; charset=utf-8")

    def _ask(
        self, client: Client, path: str, headers: dict[str, str], attempts: int = 1
    ) -> tuple[int, dict[str, object]]:
        status, body = 0, b""
        for _ in range(attempts):
            status, body = client.get(path, headers)
            if status == 200:
                break
        try:
            found = json.loads(body)
        except ValueError:
            found = {}
        return (
            (status, found)
            if isinstance(found, dict) and found
            else (status if status != 200 else 502, {})
        )

    def _api(self, request: Request) -> Response:
        parts = request.path.strip("/").split("/")[3:]
        if not parts:
            return as_json([PRODUCT])
        kind = parts[1] if len(parts) == 2 else "details"
        client = {"details": self._details, "reviews": self._reviews, "ratings": self._ratings}.get(
            kind
        )
        if client is None or len(parts) > 2 or not parts[0].isdigit():
            return NOT_FOUND
        attempts = REVIEWS_ATTEMPTS if kind == "reviews" else 1
        status, found = self._ask(client, f"/{kind}/{parts[0]}", _headers(request), attempts)
        if status != 200:
            error = {"error": f"Sorry, product {kind} are currently unavailable for this book."}
            return as_json(error, status or 500)
        return as_json(found)


def _headers(request: Request) -> dict[str, str]:
    headers = request.forwarded()
    user = _user(request)
    if user:
        headers["end-user"] = user
    return headers


def _user(request: Request) -> str:
    for part in request.headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return unquote(value)
    return ""


def _signed_in(request: Request) -> Response:
    user = request.form().get("username") or (request.query.get("username") or [""])[0]
    # A header value: letters and digits of the plain kind, and no line breaks.
    user = "".join(c for c in user if c.isascii() and (c.isalnum() or c in "-_.@"))[:64]
    return _moved(f"{COOKIE}={quote(user)}; Path=/; HttpOnly; SameSite=Lax")


def _moved(cookie: str) -> Response:
    return Response(302, headers={"location": "/productpage", "set-cookie": cookie})


def _head(user: str) -> str:
    if user:
        door = f'<span class="user">{html.escape(user)}</span> <a href="/logout">Sign out</a>'
    else:
        door = SIGN_IN
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{PRODUCT['title']} · Bookinfo</title><style>{STYLE}</style></head><body>"
        f'<header><a class="brand" href="/productpage">Bookinfo</a><nav>{door}</nav></header><main>'
        f'<section class="book">{COVER}<div><h1>{PRODUCT["title"]}</h1>'
        f'<p class="lead">{PRODUCT["descriptionHtml"]}</p></div></section>'
    )


def _details(found: dict[str, object] | None) -> str:
    if found is None:
        return _error("details", "Sorry, product details are currently unavailable for this book.")
    rows = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(str(found[key]))}</dd></div>"
        for key, name in (
            ("author", "Author"),
            ("year", "Year"),
            ("type", "Type"),
            ("pages", "Pages"),
            ("publisher", "Publisher"),
            ("language", "Language"),
            ("ISBN-10", "ISBN-10"),
            ("ISBN-13", "ISBN-13"),
        )
        if key in found
    )
    return f'<section id="details"><h2>Book details</h2><dl>{rows}</dl></section>'


def _reviews(found: dict[str, object] | None) -> str:
    if found is None:
        return _error("reviews", "Sorry, product reviews are currently unavailable for this book.")
    listed = found.get("reviews")
    quotes = (
        "".join(_review(r) for r in listed if isinstance(r, dict))
        if isinstance(listed, list)
        else ""
    )
    version = html.escape(str(found.get("version", "?")))
    instance = html.escape(str(found.get("podname", "?")))
    return (
        f'<section id="reviews" data-version="{version}"><h2>Reviews</h2>{quotes}'
        f'<p class="served">Reviews served by <b>{version}</b> on {instance}</p></section>'
    )


def _review(review: dict[str, object]) -> str:
    rating = review.get("rating")
    stars = ""
    if isinstance(rating, dict) and "error" in rating:
        stars = f'<p class="note">{html.escape(str(rating["error"]))}</p>'
    elif isinstance(rating, dict):
        count, colour = int(rating.get("stars", 0)), html.escape(str(rating.get("color", "black")))
        stars = (
            f'<p class="stars {colour}" role="img" aria-label="{count} of 5 stars">'
            f"{'★' * count}{'☆' * (5 - count)}</p>"
        )
    text, who = (
        html.escape(str(review.get("text", ""))),
        html.escape(str(review.get("reviewer", ""))),
    )
    return f"<figure><blockquote>{text}</blockquote>{stars}<figcaption>{who}</figcaption></figure>"


def _error(name: str, text: str) -> str:
    return f'<section id="{name}" class="error"><h2>Error fetching product {name}</h2><p>{text}</p></section>'


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = arguments("productpage")
    for name in ("details", "reviews", "ratings"):
        default = os.environ.get(f"{name.upper()}_URL", f"http://{name}:9080")
        parser.add_argument(f"--{name}", default=default, metavar="URL")
    return parser.parse_args()


if __name__ == "__main__":
    chosen = options()
    serve("productpage", chosen, ProductPage(chosen.details, chosen.reviews, chosen.ratings).answer)
