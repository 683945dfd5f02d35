"""Open Inference Protocol v2: messages to requests, and responses to messages."""
