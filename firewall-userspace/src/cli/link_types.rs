//! What the frames of a capture begin with, by name.

/// Ethernet frames (`LINKTYPE_ETHERNET`).
pub const ETHERNET: u32 = 1;

/// Names without `LINKTYPE_`, by number (<https://www.tcpdump.org/linktypes.html>).
const NAMES: [(u32, &str); 42] = [
    (0, "NULL"),
    (1, "ETHERNET"),
    (3, "AX25"),
    (6, "IEEE802_5"),
    (7, "ARCNET_BSD"),
    (8, "SLIP"),
    (9, "PPP"),
    (10, "FDDI"),
    (12, "RAW"),
    (50, "PPP_HDLC"),
    (51, "PPP_ETHER"),
    (100, "ATM_RFC1483"),
    (101, "RAW"),
    (104, "C_HDLC"),
    (105, "IEEE802_11"),
    (107, "FRELAY"),
    (108, "LOOP"),
    (113, "LINUX_SLL"),
    (117, "PFLOG"),
    (119, "IEEE802_11_PRISM"),
    (122, "IP_OVER_FC"),
    (123, "SUNATM"),
    (127, "IEEE802_11_RADIOTAP"),
    (140, "MTP2"),
    (141, "MTP3"),
    (143, "DOCSIS"),
    (147, "USER0"),
    (163, "IEEE802_11_AVS"),
    (166, "PPP_PPPD"),
    (187, "BLUETOOTH_HCI_H4"),
    (189, "USB_LINUX"),
    (192, "PPI"),
    (195, "IEEE802_15_4_WITHFCS"),
    (201, "BLUETOOTH_HCI_H4_WITH_PHDR"),
    (220, "USB_LINUX_MMAPPED"),
    (227, "CAN_SOCKETCAN"),
    (228, "IPV4"),
    (229, "IPV6"),
    (239, "NFLOG"),
    (249, "USBPCAP"),
    (252, "WIRESHARK_UPPER_PDU"),
    (276, "LINUX_SLL2"),
];

/// `LINKTYPE_RAW (101)`, or only the number of one without a name here.
pub fn name(link_type: u32) -> String {
    match NAMES.iter().find(|(number, _)| *number == link_type) {
        Some((_, name)) => format!("LINKTYPE_{name} ({link_type})"),
        None => format!("link type {link_type}"),
    }
}
