"""What the bench of the front door measures with: scripted upstreams and clients."""
