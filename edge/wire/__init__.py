"""Messages become JSON and JSON becomes messages; the schema and the keys of the door are here, too."""

from edge.wire.schema import SCHEMA as SCHEMA
