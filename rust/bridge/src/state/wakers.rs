//! The wakers of those who wait for one event.

use std::task::Waker;

/// Wakers of one event, in the order they came. Each is here at most once, until it is taken to be woken or removed.
///
/// A waker is known by its data, so each must have data of its own, such as an `Arc`.
#[derive(Debug, Default)]
pub(crate) struct Wakers(Vec<Waker>);

impl Wakers {
    pub(crate) fn add(&mut self, waker: &Waker) {
        if self.place(waker).is_none() {
            self.0.push(waker.clone());
        }
    }

    /// Takes `waker` out; the caller drops it once it holds no lock.
    #[must_use]
    pub(crate) fn remove(&mut self, waker: &Waker) -> Option<Waker> {
        self.place(waker).map(|place| self.0.remove(place))
    }

    /// Takes all out; the caller wakes them once it holds no lock.
    #[must_use]
    pub(crate) fn take(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.0)
    }

    fn place(&self, waker: &Waker) -> Option<usize> {
        self.0.iter().position(|known| known.data() == waker.data())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::Wakers;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_waits_again_and_again_is_woken_once() {
        let (one, other) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        let mut wakers = Wakers::default();
        for _ in 0..100 {
            wakers.add(&Waker::from(Arc::clone(&one)));
            wakers.add(&Waker::from(Arc::clone(&other)));
        }
        let taken = wakers.take();
        assert_eq!(taken.len(), 2);
        taken.into_iter().for_each(Waker::wake);
        assert_eq!((one.0.load(Ordering::Relaxed), other.0.load(Ordering::Relaxed)), (1, 1));
    }

    #[test]
    fn who_gave_up_is_not_kept() {
        let (one, other) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        let mut wakers = Wakers::default();
        wakers.add(&Waker::from(Arc::clone(&one)));
        wakers.add(&Waker::from(Arc::clone(&other)));
        drop(wakers.remove(&Waker::from(Arc::clone(&one))));
        assert!(wakers.remove(&Waker::from(Arc::clone(&one))).is_none());
        assert_eq!((Arc::strong_count(&one), Arc::strong_count(&other), wakers.take().len()), (1, 2, 1));
    }
}
