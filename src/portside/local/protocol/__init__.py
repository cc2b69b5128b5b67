"""Botocore's service models put to work on the server side: parse, check, answer."""
