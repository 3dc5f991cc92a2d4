"""Speed and memory, measured side by side with pytoniq's own client. Run: python -m benchmarks."""
