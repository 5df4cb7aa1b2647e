"""openapi.yaml as data, and the piece of JSON Schema that it uses."""

import re

import yaml

from gateway import SOURCE

METHODS = ("get", "put", "post", "delete", "patch")


class Description:
    def __init__(self, path=None):
        path = path or SOURCE / "frontgw" / "openapi.yaml"
        self.document = yaml.safe_load(path.read_text(encoding="utf-8"))

    def resolve(self, node):
        while isinstance(node, dict) and "$ref" in node:
            target = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def operations(self):
        """(METHOD, path, operation)"""
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    yield method.upper(), path, item[method]

    def operation(self, operation_id):
        for method, path, operation in self.operations():
            if operation["operationId"] == operation_id:
                return method, path, operation
        raise KeyError(operation_id)

    def find(self, method, path):
        """The operation of a concrete path; a literal part wins over a parameter."""
        best = None
        for m, template, operation in self.operations():
            pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
            if m == method and re.fullmatch(pattern, path) and (best is None or template.count("{") < best[0]):
                best = (template.count("{"), operation)
        return best[1] if best else None

    def response_fault(self, operation, status, content_type, body):
        """None, or in words what an answer has that the description has not."""
        response = operation["responses"].get(str(status))
        if response is None:
            return f"status {status} is not described"
        content = self.resolve(response).get("content")
        if not content:
            return None if not body else f"status {status} has a body that is not described"
        kind = (content_type or "").split(";")[0]
        media = content.get(kind) or content.get("*/*")
        if media is None:
            return f"content type {kind} of status {status} is not described"
        if "schema" not in media:
            return None
        import json
        return self.fault(media["schema"], json.loads(body), "body")

    def fault(self, schema, value, where):
        schema = self.resolve(schema)
        if "const" in schema:
            return None if value == schema["const"] else f"{where}: {value!r} is not {schema['const']!r}"
        if "enum" in schema and value not in schema["enum"]:
            return f"{where}: {value!r} is not one of {schema['enum']}"
        if "oneOf" in schema:
            faults = [self.fault(s, value, where) for s in schema["oneOf"]]
            return None if faults.count(None) == 1 else "; ".join(f for f in faults if f)
        return self._type_fault(schema, value, where) or self._members_fault(schema, value, where)

    def _type_fault(self, schema, value, where):
        kinds = schema.get("type")
        kinds = [kinds] if isinstance(kinds, str) else kinds or []
        is_kind = {
            "object": isinstance(value, dict), "array": isinstance(value, list), "string": isinstance(value, str),
            "integer": isinstance(value, int) and not isinstance(value, bool), "boolean": isinstance(value, bool),
            "number": isinstance(value, (int, float)) and not isinstance(value, bool), "null": value is None,
        }
        if kinds and not any(is_kind[k] for k in kinds):
            return f"{where}: {value!r} is not of type {kinds}"
        if isinstance(value, str):
            size = len(value.encode())
            if size < schema.get("minLength", 0) or size > schema.get("maxLength", size):
                return f"{where}: {size} bytes"
            if "pattern" in schema and not re.search(schema["pattern"], value):
                return f"{where}: {value!r} does not match {schema['pattern']}"
        return None

    def _members_fault(self, schema, value, where):
        if isinstance(value, list) and "items" in schema:
            for i, item in enumerate(value):
                fault = self.fault(schema["items"], item, f"{where}[{i}]")
                if fault:
                    return fault
        if isinstance(value, dict):
            properties = schema.get("properties", {})
            for name in schema.get("required", []):
                if name not in value:
                    return f"{where}: {name} is missing"
            for name, member in value.items():
                if name in properties:
                    fault = self.fault(properties[name], member, f"{where}.{name}")
                    if fault:
                        return fault
                elif schema.get("additionalProperties") is False:
                    return f"{where}: {name} is not described"
        return None
