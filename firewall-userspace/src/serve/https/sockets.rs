//! Sockets at addresses that may not be there yet.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt::Ipv6V6Only};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::{self, Sleep},
};

/// Both ends of a connection.
#[derive(Clone, Copy, Debug)]
pub struct TcpEnds {
    /// The client's.
    pub from: SocketAddr,
    /// This host's.
    pub to: SocketAddr,
}

/// Sockets that listen, or will.
#[derive(Debug)]
pub struct Sockets {
    slots: Mutex<Vec<SocketSlot>>,
}

#[derive(Debug)]
struct SocketSlot {
    address: SocketAddr,
    /// Whether another socket has the IPv4 side of it.
    is_v6_only: bool,
    state: SocketState,
}

#[derive(Debug)]
enum SocketState {
    Listens(TcpListener),
    /// Until the next attempt, and how long the one after that is put off.
    Waits(Pin<Box<Sleep>>, Duration),
}

/// First pause before another attempt, which doubles each time.
const PAUSE: Duration = Duration::from_millis(250);

/// Longest pause: an address that comes is served at the latest after it.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Addresses at which nobody listens yet, and why: for `status`.
static UNBOUND: Mutex<BTreeMap<SocketAddr, String>> = Mutex::new(BTreeMap::new());

/// What cannot be listened at: each address with the reason.
pub fn unbound() -> BTreeMap<SocketAddr, String> {
    UNBOUND.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

impl Sockets {
    /// Listens at all of `addresses` that are there; the others are tried again while somebody accepts.
    pub fn open(addresses: &[SocketAddr]) -> Self {
        let slot = |address: &SocketAddr| {
            let is_taken = |other: &SocketAddr| other.is_ipv4() && other.port() == address.port();
            let is_v6_only = address.is_ipv6() && addresses.iter().any(is_taken);
            SocketSlot::new(*address, is_v6_only)
        };
        Self { slots: Mutex::new(addresses.iter().map(slot).collect()) }
    }

    /// Where it listens by now.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn local_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let listening = slots.iter().filter_map(|slot| match &slot.state {
            SocketState::Listens(listener) => Some(listener.local_addr()),
            SocketState::Waits(..) => None,
        });
        listening.collect()
    }

    /// The next connection at any of them.
    ///
    /// # Errors
    /// Those of accept(2).
    pub async fn accept(&self) -> io::Result<(TcpStream, TcpEnds)> {
        let (stream, from) = poll_fn(|context| self.poll_accept(context)).await?;
        // Answers are written whole; to wait for more of them would only be slow. A connection that is gone says so when it is used.
        let _ = stream.set_nodelay(true);
        let to = stream.local_addr().unwrap_or(from);
        Ok((stream, TcpEnds { from, to }))
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever was asked first is asked last, so that none is kept waiting by another.
        if let Some(count) = slots.len().checked_sub(1) {
            slots.rotate_left(count.min(1));
        }
        for slot in slots.iter_mut() {
            slot.try_again(context);
            if let SocketState::Listens(listener) = &slot.state
                && let Poll::Ready(accepted) = listener.poll_accept(context)
            {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        let mut unbound = UNBOUND.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = self.slots.get_mut().unwrap_or_else(PoisonError::into_inner);
        slots.iter().for_each(|slot| drop(unbound.remove(&slot.address)));
    }
}

impl SocketSlot {
    fn new(address: SocketAddr, is_v6_only: bool) -> Self {
        let state = SocketState::Waits(Box::pin(time::sleep(Duration::ZERO)), PAUSE);
        let mut slot = Self { address, is_v6_only, state };
        slot.bind(PAUSE);
        slot
    }

    /// Tries again to listen when it is time.
    fn try_again(&mut self, context: &mut Context<'_>) {
        while let SocketState::Waits(sleep, pause) = &mut self.state
            && sleep.as_mut().poll(context).is_ready()
        {
            let pause = *pause;
            self.bind(pause);
        }
    }

    fn bind(&mut self, pause: Duration) {
        let was_told = unbound().contains_key(&self.address);
        let mut unbound = UNBOUND.lock().unwrap_or_else(PoisonError::into_inner);
        match listen(self.address, self.is_v6_only) {
            Ok(listener) => {
                unbound.remove(&self.address);
                if was_told {
                    tracing::info!(address = %self.address, "listen for the API now");
                }
                self.state = SocketState::Listens(listener);
            }
            Err(error) => {
                let words = words(self.address, &error);
                if !was_told {
                    tracing::warn!("{words}\nit is tried again every {LONGEST_PAUSE:?}");
                }
                unbound.insert(self.address, words);
                let next = (2 * pause).min(LONGEST_PAUSE);
                self.state = SocketState::Waits(Box::pin(time::sleep(pause)), next);
            }
        }
    }
}

/// Why nobody listens at `address`, and what mends that.
fn words(address: SocketAddr, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::AddrNotAvailable => "no interface has this address yet; if none ever will, correct [api]",
        io::ErrorKind::AddrInUse => {
            "another program has this port: `ss -ltnp`; set another in [api], or stop that program"
        }
        io::ErrorKind::PermissionDenied => {
            "the sandbox lets a daemon listen at the ports that its configuration named at its start: restart it; ports below 1024 \
             need CAP_NET_BIND_SERVICE too"
        }
        _ => return format!("cannot serve the API at {address}: {error}"),
    };
    format!("cannot serve the API at {address}: {error}\nhint: {hint}")
}

fn listen(address: SocketAddr, is_v6_only: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if is_v6_only {
        setsockopt(&socket, Ipv6V6Only, &true)?;
    }
    // A port whose last connections are still being closed is not in the way (socket(7)).
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_is_not_there_is_waited_for_and_the_others_are_served_meanwhile() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let sockets = Sockets::open(&["127.0.0.1:0".parse().unwrap(), address]);
        let why = unbound().remove(&address).unwrap();
        assert!(why.contains("in use") && why.contains("\nhint: "), "{why}");
        let [other] = sockets.local_addresses().unwrap()[..] else { panic!("{sockets:?}") };
        let client = TcpStream::connect(other).await.unwrap();
        let (_, ends) = sockets.accept().await.unwrap();
        assert_eq!(ends.from, client.local_addr().unwrap());
        drop(taken);
        let late = tokio::spawn(async move {
            loop {
                if let Ok(client) = TcpStream::connect(address).await {
                    return client.local_addr().unwrap();
                }
                time::sleep(Duration::from_millis(20)).await;
            }
        });
        let (_, ends) = sockets.accept().await.unwrap();
        assert_eq!((ends.from, ends.to), (late.await.unwrap(), address));
        assert!(!unbound().contains_key(&address));
    }

    #[tokio::test]
    async fn one_port_is_served_at_every_address_of_both_families() {
        let free = std::net::TcpListener::bind("[::]:0").expect("this test needs IPv6");
        let port = free.local_addr().unwrap().port();
        drop(free);
        let both = [SocketAddr::new([0; 4].into(), port), SocketAddr::new([0; 16].into(), port)];
        let sockets = Sockets::open(&both);
        assert_eq!(sockets.local_addresses().unwrap().len(), 2, "{:?}", unbound());
        for to in
            [SocketAddr::new([127, 0, 0, 1].into(), port), SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port))]
        {
            let client = TcpStream::connect(to).await.unwrap();
            assert_eq!(sockets.accept().await.unwrap().1.from, client.local_addr().unwrap());
        }
    }
}
