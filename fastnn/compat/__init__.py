"""Other libraries' names over fastnn: what runs people's scripts as they are."""
