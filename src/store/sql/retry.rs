//! Transactions of several statements that are made again if another transaction is in their way.

use super::error::StoreError;

/// The number of attempts at a transaction that meets others.
const ATTEMPTS: usize = 5;

/// Makes a write, and makes it again if a request_id was taken meanwhile, or the database refuses to put the write and another one
/// into one order. Nothing of a refused attempt is kept.
pub(in crate::store) async fn retry<T, F>(attempt: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(StoreError::Conflict) => {}
            result => return result,
        }
    }
    attempt().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(crate = "crate::limit")]
    async fn retries_conflicts_alone_and_not_for_ever() {
        let made = Cell::new(0);
        let ends_at = |last: usize, end: fn() -> Result<(), StoreError>| {
            let attempt = made.get() + 1;
            made.set(attempt);
            std::future::ready(if attempt < last { Err(StoreError::Conflict) } else { end() })
        };
        assert!(retry(|| ends_at(3, || Ok(()))).await.is_ok());
        assert_eq!(made.replace(0), 3);
        assert!(matches!(retry(|| ends_at(2, || Err(StoreError::Slow))).await, Err(StoreError::Slow)));
        assert_eq!(made.replace(0), 2);
        assert!(matches!(retry(|| ends_at(usize::MAX, || Ok(()))).await, Err(StoreError::Conflict)));
        assert_eq!(made.get(), ATTEMPTS);
    }
}
