"""Frames as the standards have them."""

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderd.resources.addresses import concerns
from leaderd.resources.announce import announcements, claim, mac_text, question

MAC = bytes.fromhex("020000000001")
V4, V6 = IPv4Address("10.77.0.100"), IPv6Address("2001:db8:77::12:3456")


def test_arp_is_announced_in_both_forms() -> None:
    """RFC 5227 §3 and RFC 5944 §4.6: sender is target; Linux wants the own address as target of a reply."""
    head = "ffffffffffff 020000000001 0806 0001 0800 06 04"
    wanted = [
        f"{head} 0001 020000000001 0a4d0064 000000000000 0a4d0064",
        f"{head} 0002 020000000001 0a4d0064 020000000001 0a4d0064",
    ]
    assert announcements(V4, MAC) == [bytes.fromhex(each.replace(" ", "")) for each in wanted]


def test_an_arp_question_claims_nothing() -> None:
    """RFC 5227 §2.1.1: from no address."""
    assert question(V4, MAC)[28:32] == bytes(4)
    assert question(V4, MAC)[38:42] == V4.packed
    assert claim(question(V4, MAC)) == (IPv4Address(0), MAC)


@pytest.mark.parametrize("router", [False, True])
def test_an_advertisement_overrides_and_says_whether_we_route(router: bool) -> None:
    """RFC 4861 §4.4 and §7.2.6: to all nodes, hop limit 255, with our hardware address."""
    [frame] = announcements(V6, MAC, router=router)
    assert frame[:6] == bytes.fromhex("333300000001")
    assert frame[18:22] == struct.pack("!HBB", 32, 58, 255)
    assert frame[22:54] == V6.packed + IPv6Address("ff02::1").packed
    assert frame[54:56] == b"\x88\0"
    assert frame[58] == (0xA0 if router else 0x20)
    assert frame[62:] == V6.packed + b"\2\1" + MAC
    assert icmp_sum(frame) == 0xFFFF
    assert claim(frame) == (V6, MAC)


def test_a_solicitation_goes_to_the_group_of_the_address() -> None:
    """RFC 4862 §5.4.2: from no address, without a hardware address."""
    frame = question(V6, MAC)
    assert frame[:6] == bytes.fromhex("3333ff123456")
    assert frame[22:54] == bytes(16) + IPv6Address("ff02::1:ff12:3456").packed
    assert frame[54:56] == b"\x87\0"
    assert frame[62:] == V6.packed
    assert icmp_sum(frame) == 0xFFFF
    assert claim(frame) is None


def icmp_sum(frame: bytes) -> int:
    data = frame[22:54] + struct.pack("!II", len(frame) - 54, 58) + frame[54:]
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    return (total >> 16) + (total & 0xFFFF)


@given(st.binary(max_size=120))
def test_any_frame_can_be_looked_at(data: bytes) -> None:
    """Whatever stands on the wire."""
    claim(data)
    claim(data[:12] + b"\x08\x06" + data)
    claim(data[:12] + b"\x86\xdd" + data)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6), st.binary(min_size=6, max_size=6))
def test_what_is_announced_is_claimed(address: IPv4Address | IPv6Address, mac: bytes) -> None:
    """For every address."""
    assert {claim(frame) for frame in announcements(address, mac)} == {(address, mac)}
    assert claim(question(address, mac)) in {None, (ip_address("0.0.0.0"), mac)}


def test_a_hardware_address_is_shown_as_usual() -> None:
    """With colons."""
    assert mac_text(MAC) == "02:00:00:00:00:01"


def message(kind: int, flags: int, index: int) -> bytes:
    """An event about an address, or about a link where the index stands at the same place."""
    return struct.pack("=IHHIIBBBBI", 24, kind, 0, 0, 0, 2, 24, flags, 0, index)


@pytest.mark.parametrize(
    ("packet", "wanted"),
    [
        (message(21, 0, 3), True),
        (message(21, 0, 4), False),
        (message(20, 0x80, 3), True),
        (message(20, 0, 3), False),
        (message(16, 0, 3), True),
        (message(17, 0, 3), True),
        (message(24, 0, 3), False),
        (message(20, 0, 3) + message(16, 0, 4) + message(21, 0, 3), True),
        (b"", False),
    ],
    ids=["removed", "another interface", "made permanent", "renewed", "link", "link gone", "route", "third",
         "none"],
)
def test_events_that_may_mean_a_loss(packet: bytes, wanted: bool) -> None:
    """Our own renewals do not, or each would cost a look."""
    assert concerns(packet, 3) is wanted


@given(st.binary(max_size=200))
def test_any_event_can_be_looked_at(packet: bytes) -> None:
    """And the look ends."""
    concerns(packet, 3)
