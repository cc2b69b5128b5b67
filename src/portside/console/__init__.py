"""A web page on the same APIs that the command line speaks.

    browser ─▶ app (routes) ─▶ view (what there is to see) ─▶ page.html

Rendered on the server and readable without JavaScript; on 127.0.0.1 only, since whoever
reaches it can ask endpoints with the user's keys.
"""
