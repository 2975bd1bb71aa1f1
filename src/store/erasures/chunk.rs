//! The erasure itself, chunk by chunk: a command for each invitation, each in a commit of its own. An erasure that breaks off is
//! continued from the start: what was erased is not found again.

use std::collections::BTreeSet;

use tokio::time::Instant;
use uuid::Uuid;

use super::person::AddressPlace;
pub use super::person::PersonPlace;
use super::{ErasureCounts, StoreError};
use crate::domain::command::{Action, Command, EraseRecipient};
use crate::domain::erasure::tombstone::{AddressMac, Tombstone};
use crate::domain::reach::Reach;
use crate::domain::secret::key_ring::KeyRing;
use crate::domain::secret::verification::address_keys;
use crate::domain::suppression::erased_key;
use crate::domain::value::given_email::GivenEmail;
use crate::domain::value::grantable_roles::GrantableRoles;
use crate::domain::value::id::{AcceptanceId, IdSeed, InvitationId};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::{BatchError, BatchMode, ExecuteError, Store};

/// The number of invitations of a chunk: each may have a thousand recipients, which are read and written with it.
const CHUNK: usize = 50;
/// The number of addresses that are compared with the tombstones at a time.
const ADDRESSES: usize = 1_000;

/// The person to be erased from an account, on whose behalf, and up to which moment.
#[derive(Debug)]
pub struct PersonErasure<'a> {
    /// The account.
    pub account: &'a AccountId,
    /// The actor in the events.
    pub actor: &'a str,
    /// The address that the person is known by.
    pub email: &'a GivenEmail,
    /// The moment up to which invitations and acceptances are the erasure's.
    pub until: Timestamp,
    /// The keys, by which the rows of codes are found.
    pub ring: &'a KeyRing,
    /// Whether the erasure is only decided.
    pub is_dry_run: bool,
}

/// The result of a chunk.
#[derive(Debug)]
pub struct ErasedChunk {
    /// The invitations that something was erased from, with the numbers of what was the person's in each.
    pub erased: Vec<(Uuid, ErasureCounts)>,
    /// The place at which the erasure goes on; `None` at the end.
    pub next: Option<PersonPlace>,
    /// The first failure of an invitation, which the others were erased beside.
    pub failed: Option<ExecuteError>,
}

impl ErasedChunk {
    /// Returns the numbers of the invitations that were not seen yet: one with an acceptance and a recipient is found twice.
    pub fn counts(&self, seen: &mut BTreeSet<Uuid>) -> ErasureCounts {
        let mut counts = ErasureCounts::default();
        self.erased.iter().filter(|(id, _)| seen.insert(*id)).for_each(|(_, more)| counts.add(*more));
        counts
    }
}

/// The reason why a chunk was not run.
#[derive(Debug)]
pub enum ChunkError {
    /// The database does not answer, or has a row that it should not have.
    Store(StoreError),
    /// The commands were not run.
    Batch(BatchError),
}

impl From<StoreError> for ChunkError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Store {
    /// Erases the next invitations behind a place.
    pub async fn erase_chunk(
        &self,
        erasure: &PersonErasure<'_>,
        after: PersonPlace,
        seed: impl Fn() -> IdSeed,
        deadline: Option<Instant>,
    ) -> Result<ErasedChunk, ChunkError> {
        let PersonErasure { account, email, until, ring, .. } = *erasure;
        let address = email.search_key();
        let (found, next) = self.find_person(account, &address, until, (after, CHUNK)).await?;
        if found.is_empty() {
            return Ok(ErasedChunk { erased: Vec::new(), next, failed: None });
        }
        let invitations: BTreeSet<Uuid> = found.iter().map(|found| found.invitation).collect();
        let invitations: Vec<_> = invitations.into_iter().collect();
        let counted = self.count_person(account, &address, &invitations).await?;
        let commands = found.iter().map(|found| {
            let action = EraseRecipient {
                invitation: InvitationId(found.invitation),
                acceptance: found.acceptance.map(AcceptanceId),
                email: email.clone(),
            };
            Command {
                reach: Reach::of_account(account.clone()),
                actor: erasure.actor.to_owned(),
                grantable_roles: GrantableRoles::default(),
                request: None,
                seed: seed(),
                action: Action::EraseRecipient(action),
            }
        });
        let mode = if erasure.is_dry_run { BatchMode::DryRun } else { BatchMode::Independent };
        let results =
            self.executor().execute_all(commands.collect(), mode, deadline).await.map_err(ChunkError::Batch)?;
        let (mut erased, mut failed) = (BTreeSet::new(), None);
        for result in results {
            match result {
                Ok(executed) if executed.happened => drop(erased.insert(executed.invitation.id.0)),
                Ok(_) => {}
                // An invitation that was deleted meanwhile has nothing left.
                Err(ExecuteError::Refused(_)) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let (false, Some(comparable)) = (erasure.is_dry_run, email.comparable()) {
            let keys = |id: &Uuid| {
                let keys = address_keys(ring, account, InvitationId(*id), comparable);
                keys.into_iter().map(|key| (*id, key)).collect::<Vec<_>>()
            };
            self.forget_codes(account, invitations.iter().flat_map(keys)).await?;
        }
        let erased = counted.into_iter().filter(|(id, _)| erased.contains(id)).collect();
        Ok(ErasedChunk { erased, next, failed })
    }

    /// Erases the address from its suppression, which holds all the same.
    pub async fn erase_from_suppression(&self, erasure: &PersonErasure<'_>) -> Result<(), StoreError> {
        let PersonErasure { account, email, until, ring, .. } = *erasure;
        let address = email.search_key();
        match AddressMac::of(ring, account, &address).first() {
            Some(mac) => self.erase_suppression(account, (&address, until), &erased_key(mac)).await,
            None => Ok(()),
        }
    }

    /// Finds the addresses of an account that tombstones stand for, each with the latest moment of them.
    pub async fn erased_addresses(
        &self,
        account: &AccountId,
        tombstones: &[Tombstone],
        ring: &KeyRing,
    ) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let mut erased = Vec::new();
        for place in [AddressPlace::Acceptances, AddressPlace::Recipients, AddressPlace::Suppressions] {
            let mut after = String::new();
            loop {
                let addresses = self.addresses(account, place, &after, ADDRESSES).await?;
                for address in &addresses {
                    let macs = AddressMac::of(ring, account, address);
                    let matching = tombstones.iter().filter(|tombstone| macs.contains(&tombstone.address));
                    erased.extend(matching.map(|tombstone| tombstone.erased_at).max().map(|at| (address.clone(), at)));
                }
                match addresses.last() {
                    Some(last) if addresses.len() >= ADDRESSES => after.clone_from(last),
                    Some(_) | None => break,
                }
            }
        }
        erased.sort();
        erased.dedup();
        Ok(erased)
    }
}
