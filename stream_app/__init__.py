"""The Faust app: transport, pipeline, transactional output."""
