"""The reviews service: what readers say of a book, with or without stars. GET /reviews/ID

--version v1 shows no stars, v2 black ones, v3 red ones; v2 and v3 ask the ratings service for them.
"""

import json
import os
import socket

from common import NOT_FOUND, Client, Request, Response, arguments, as_json, serve

REVIEWS = (
    (
        "Reviewer1",
        "Everyone is in love with the wrong person until the wood sorts them out. I laughed twice on every page.",
    ),
    (
        "Reviewer2",
        "Fairies, craftsmen and a donkey's head. It should not hold together, and it holds beautifully.",
    ),
)
COLOURS = {"v2": "black", "v3": "red"}
RATINGS_TIMEOUT_S = 10.0


class Reviews:
    """Reviews of one version."""

    def __init__(self, version: str, ratings: str) -> None:
        self._version = version
        self._colour = COLOURS.get(version, "black")
        self._ratings = Client(ratings, RATINGS_TIMEOUT_S) if version != "v1" else None

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        parts = request.path.strip("/").split("/")
        if len(parts) != 2 or parts[0] != "reviews":
            return NOT_FOUND
        if not parts[1].isdigit():
            return as_json({"error": "please provide numeric product ID"}, 400)
        stars = self._stars(parts[1], request)
        return as_json(
            {
                "id": parts[1],
                "version": self._version,
                "podname": socket.gethostname(),
                "reviews": [self._review(who, text, stars) for who, text in REVIEWS],
            }
        )

    def _stars(self, product: str, request: Request) -> dict[str, int] | None:
        """Return stars by reviewer, {} when nobody asks for them, None when there is no answer."""
        if self._ratings is None:
            return {}
        status, body = self._ratings.get(f"/ratings/{product}", request.forwarded())
        try:
            found: dict[str, int] | None = json.loads(body)["ratings"] if status == 200 else None
        except (ValueError, KeyError, TypeError):
            return None
        return found

    def _review(self, who: str, text: str, stars: dict[str, int] | None) -> dict[str, object]:
        review: dict[str, object] = {"reviewer": who, "text": text}
        if stars is None:
            review["rating"] = {"error": "Ratings service is currently unavailable"}
        elif stars:
            review["rating"] = {"stars": stars.get(who, -1), "color": self._colour}
        return review


if __name__ == "__main__":
    parser = arguments("reviews")
    parser.add_argument(
        "--version", default=os.environ.get("SERVICE_VERSION", "v1"), help="v1, v2 or v3"
    )
    parser.add_argument("--ratings", default=os.environ.get("RATINGS_URL", "http://ratings:9080"))
    options = parser.parse_args()
    serve(f"reviews {options.version}", options, Reviews(options.version, options.ratings).answer)
