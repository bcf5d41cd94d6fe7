"""Which network addresses the server may connect to (delivery.md, SSRF)."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

# The IANA special-purpose registries (RFC 6890 and its successors); ``is_global`` misses some of them.
FORBIDDEN_4 = tuple(
    IPv4Network(each)
    for each in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
)
GLOBAL_6 = IPv6Network("2000::/3")
FORBIDDEN_6 = tuple(
    IPv6Network(each) for each in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks in CIDR form, comma-separated. Raises ValueError."""
    return tuple(ip_network(each.strip()) for each in text.split(",") if each.strip())


def may_connect(text: str, allowed: tuple[Network, ...]) -> bool:
    """Whether an address as getaddrinfo gives it is public, or in a network that the operator allows."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if any(address.version == network.version and address in network for network in allowed):
        return True
    if isinstance(address, IPv4Address):
        return not any(address in network for network in FORBIDDEN_4)
    return address in GLOBAL_6 and not any(address in network for network in FORBIDDEN_6)
