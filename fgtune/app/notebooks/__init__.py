"""What Python callers give and get besides files: studies and overrides as dicts, data in memory, frames and HTML."""
