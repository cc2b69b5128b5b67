"""A web page on the same APIs that the command line speaks.

    browser ─▶ app ─▶ account ─▶ AWS, or the local AWS
                │        └─ descriptions, log lines, metrics, answers
                ├─▶ endpoint · log · plot · trial    what there is to see, as values
                └─▶ *.html                           the page, or one part of it

Rendered on the server and readable without JavaScript, which only fetches parts of the
page anew and sends requests without a reload. On 127.0.0.1 only, since whoever reaches it
can ask endpoints with the user's keys.
"""
