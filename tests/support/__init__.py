"""What the tests share: hosts that are made up, real ones, and data."""
