"""Networks that containers share: bridges with NAT, addresses, published ports, and what a container knows of names."""
