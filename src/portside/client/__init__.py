"""What a caller of an endpoint needs.

invoke, background   one prediction: signed, waited for or streamed, or by way of S3
export               what other clients need: Postman, curl, Python, JavaScript, OpenAPI
entity               named entities found in their text
"""
