//! Lists, page by page, newest first.
//!
//! A page looks through a bounded number of rows, however rare what is asked for is: a list that
//! a person waits for never holds a snapshot open for long. Rows are looked at some at a time and
//! by what is small of them; only what stands on the page is read whole.

mod attempts;
mod messages;
mod requests;

pub(crate) use attempts::attempts;
pub(crate) use messages::messages;
pub(crate) use requests::requests;

use std::future::Future;

use hooklatch_core::ids::first_number_at;
use hooklatch_store::{Page, PageRequest, TimeRange};

use crate::fault::Fault;

/// Rows whose columns are looked at for one page.
const SCANNED_MAX: usize = 20_000;
/// Rows of which more is read than their columns, for one page.
const LOADED_MAX: usize = 5_000;
/// Bytes of bodies on one page: past that it is short, and the next goes on.
const PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Rows that are looked at together, at least and at most.
const TOGETHER: (usize, usize) = (32, 1_000);

/// Which numbers are looked through: from the first, and before the second.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: i64,
    to: i64,
}

impl Span {
    fn of(time: TimeRange, page: PageRequest) -> Self {
        let before = time.before.map_or(i64::MAX, first_number_at);
        Self {
            from: time.after.map_or(0, first_number_at),
            to: before.min(page.below.unwrap_or(i64::MAX)),
        }
    }
}

/// A row that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Candidate {
    number: i64,
    /// Whether its columns fit, so that more of it was read.
    read: bool,
    /// How many bytes it puts on the page, if it fits.
    fits: Option<usize>,
}

/// A list.
trait Listing {
    /// Looks at up to so many rows of a span, newest first. Fewer than that: there are no more.
    fn look(
        &self,
        span: Span,
        many: usize,
    ) -> impl Future<Output = Result<Vec<Candidate>, Fault>> + Send;
}

/// The numbers of what stands on a page, newest first.
async fn gather(
    list: &(impl Listing + Sync),
    time: TimeRange,
    page: PageRequest,
) -> Result<Page<i64>, Fault> {
    let mut span = Span::of(time, page);
    let mut gathering = Gathering::new(page.limit);
    let mut together = page.limit.saturating_add(1).clamp(TOGETHER.0, TOGETHER.1);
    while span.from < span.to {
        let many = together.min(SCANNED_MAX - gathering.scanned);
        let looked_at = list.look(span, many).await?;
        for candidate in &looked_at {
            if gathering.take(*candidate) == Goes::NoFurther {
                return Ok(gathering.page());
            }
        }
        match looked_at.last() {
            Some(last) if looked_at.len() >= many => span.to = last.number,
            Some(_) | None => break,
        }
        together = (together * 4).min(TOGETHER.1);
    }
    Ok(gathering.page())
}

/// Whether a page goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goes {
    On,
    NoFurther,
}

/// A page in the making.
struct Gathering {
    limit: usize,
    bytes: usize,
    items: Vec<i64>,
    /// The last number that was looked at, or that of the last item once there are enough.
    last: Option<i64>,
    next: Option<i64>,
    scanned: usize,
    loaded: usize,
}

impl Gathering {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            bytes: 0,
            items: Vec::new(),
            last: None,
            next: None,
            scanned: 0,
            loaded: 0,
        }
    }

    fn take(&mut self, candidate: Candidate) -> Goes {
        self.scanned += 1;
        self.loaded += usize::from(candidate.read);
        let complete = self.items.len() == self.limit;
        // One more than asked for: so there is a next page.
        let one_more = complete && candidate.fits.is_some();
        if !complete {
            self.last = Some(candidate.number);
            if let Some(bytes) = candidate.fits {
                self.bytes += bytes;
                self.items.push(candidate.number);
            }
        }
        let heavy = self.bytes >= PAGE_BYTES_MAX;
        if one_more || heavy || self.scanned >= SCANNED_MAX || self.loaded >= LOADED_MAX {
            self.next = self.last;
            return Goes::NoFurther;
        }
        Goes::On
    }

    fn page(self) -> Page<i64> {
        Page {
            items: self.items,
            next: self.next,
        }
    }
}

/// So many rows, as the database counts them.
fn rows(many: usize) -> i64 {
    i64::try_from(many).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Rows with numbers from 1 on, of which every so many fits.
    struct Every {
        step: i64,
        last: i64,
        bytes: usize,
        looked: Mutex<usize>,
    }

    impl Every {
        fn new(step: i64, last: i64, bytes: usize) -> Self {
            let looked = Mutex::default();
            Self {
                step,
                last,
                bytes,
                looked,
            }
        }
    }

    impl Listing for Every {
        async fn look(&self, span: Span, many: usize) -> Result<Vec<Candidate>, Fault> {
            *self.looked.lock().unwrap() += 1;
            let numbers = (span.from.max(1)..span.to.min(self.last + 1)).rev();
            let candidate = |number| Candidate {
                number,
                read: number % self.step == 0,
                fits: (number % self.step == 0).then_some(self.bytes),
            };
            Ok(numbers.take(many).map(candidate).collect())
        }
    }

    fn all(list: &Every, limit: usize) -> Vec<Vec<i64>> {
        let mut pages = Vec::new();
        let mut below = None;
        loop {
            let asked = PageRequest { limit, below };
            let page = gather(list, TimeRange::default(), asked);
            let page = hooklatch_store::suite::block_on(page).unwrap();
            pages.push(page.items);
            match page.next {
                Some(next) => below = Some(next),
                None => return pages,
            }
        }
    }

    #[test]
    fn pages_have_what_fits_without_gap_or_overlap() {
        for (step, last, limit) in [(1, 100, 10), (7, 1_000, 3), (1, 9, 9), (2_000, 100_000, 5)] {
            let pages = all(&Every::new(step, last, 0), limit);
            let expected: Vec<i64> = (1..=last).rev().filter(|it| it % step == 0).collect();
            assert_eq!(pages.concat(), expected, "{step} {last} {limit}");
            assert!(pages.iter().all(|page| page.len() <= limit));
        }
    }

    #[test]
    fn a_page_of_what_is_rare_ends_after_a_bounded_number_of_rows() {
        let list = Every::new(30_000, 99_999, 0);
        let pages = all(&list, 10);
        assert_eq!(pages.len(), 99_999_usize.div_ceil(SCANNED_MAX));
        assert_eq!(pages.concat(), [90_000, 60_000, 30_000]);
    }

    #[test]
    fn a_heavy_page_is_short_and_the_next_goes_on() {
        let pages = all(&Every::new(1, 5, PAGE_BYTES_MAX / 2), 10);
        assert_eq!(pages, [vec![5, 4], vec![3, 2], vec![1]]);
    }

    #[test]
    fn a_page_that_is_found_at_once_takes_one_look() {
        let list = Every::new(1, 1_000, 0);
        let page = PageRequest {
            limit: 50,
            below: None,
        };
        let page = gather(&list, TimeRange::default(), page);
        assert_eq!(
            hooklatch_store::suite::block_on(page).unwrap().items.len(),
            50
        );
        assert_eq!(*list.looked.lock().unwrap(), 1);
    }
}
