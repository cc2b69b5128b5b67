"""What other clients need to ask an endpoint, as files or text.

    Endpoint, samples ─▶ Caller ─▶ postman │ curl │ python │ javascript ─▶ File, …
    OpenAPI document of its instance ────▶ openapi ─────────────────────▶ File

Every form is one module with one function from values to text; nothing here reads or
writes. No form holds a key of AWS: clients find keys in their own environment. Only the
Postman environment of the local AWS is given the keys that the local AWS made up.
"""
