"""What `TensorBoard` writes: events, graphs, pictures."""
