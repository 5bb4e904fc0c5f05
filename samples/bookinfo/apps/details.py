"""The details service: what a library catalogue says of a book. GET /details/ID"""

from common import NOT_FOUND, Request, Response, arguments, as_json, serve

BOOK = {
    "author": "William Shakespeare",
    "year": 1595,
    "type": "paperback",
    "pages": 200,
    "publisher": "Quayside Press",
    "language": "English",
    "ISBN-10": "1234567890",
    "ISBN-13": "978-1234567897",
}


def answer(request: Request) -> Response:
    """Answer one request."""
    parts = request.path.strip("/").split("/")
    if len(parts) != 2 or parts[0] != "details":
        return NOT_FOUND
    if not parts[1].isdigit():
        return as_json({"error": "please provide numeric product ID"}, 400)
    return as_json({"id": int(parts[1]), **BOOK})


if __name__ == "__main__":
    serve("details", arguments("details").parse_args(), answer)
