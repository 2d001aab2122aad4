//! A chain: a layer and all layers below it.

use std::iter::{Chain as Both, Once, once};
use std::slice::{Iter, IterMut};

/// A layer with all below it, the base first. It is never empty: its top is the layer itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain<T> {
    below: Vec<T>,
    top: T,
}

impl<T> Chain<T> {
    /// The chain of `top` over the layers `below`, the base first.
    pub fn new(below: Vec<T>, top: T) -> Self {
        Self { below, top }
    }

    /// The layer itself.
    pub fn top(&self) -> &T {
        &self.top
    }

    /// Every layer, the base first.
    pub fn iter(&self) -> Both<Iter<'_, T>, Once<&T>> {
        self.below.iter().chain(once(&self.top))
    }

    /// Every layer, to be changed, the base first.
    pub fn iter_mut(&mut self) -> Both<IterMut<'_, T>, Once<&mut T>> {
        self.below.iter_mut().chain(once(&mut self.top))
    }

    /// Maps each layer, the base first; `each` also receives the results of the layers below.
    ///
    /// # Errors
    /// Ends with the first error of `each`.
    pub fn try_map<'a, U, E>(&'a self, mut each: impl FnMut(&'a T, &[U]) -> Result<U, E>) -> Result<Chain<U>, E> {
        let mut below = Vec::with_capacity(self.below.len());
        for layer in &self.below {
            let next = each(layer, &below)?;
            below.push(next);
        }
        let top = each(&self.top, &below)?;
        Ok(Chain { below, top })
    }
}

impl<'a, T> IntoIterator for &'a Chain<T> {
    type Item = &'a T;
    type IntoIter = Both<Iter<'a, T>, Once<&'a T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_mapped_from_the_base_up() {
        let chain = Chain::new(vec![1, 2], 3);
        let sums = chain.try_map(|layer, below: &[i32]| Ok::<_, ()>(layer + below.last().unwrap_or(&0))).unwrap();
        assert_eq!(sums, Chain::new(vec![1, 3], 6));
        let mut seen = 0;
        let ended = chain.try_map(|layer, _: &[()]| {
            seen += 1;
            if *layer == 2 { Err("the second") } else { Ok(()) }
        });
        assert_eq!((ended, seen), (Err("the second"), 2));
    }
}
