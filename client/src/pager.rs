//! Pager: a whole collection by way of limit and continue.
//!
//! Counterpart: client-go `tools/pager`. Unlike there, item by item reading follows the same rules as reading the list:
//! the resourceVersion is sent with the first page only, and an expired token is answered in the same way.

use crate::error::Error;
use crate::{BoxFuture, DynamicResource};
use rehearsal_apimachinery::{ListOptions, ObjectMeta};
use serde_json::{Map, Value};

/// client-go `defaultPageSize`.
const PAGE_SIZE: i64 = 500;

/// Gives one page of a collection.
pub trait ListPages: Send + Sync {
    /// The list object for these options.
    ///
    /// # Errors
    /// The server's refusal, or what kept its answer from arriving.
    fn page<'a>(&'a self, options: &'a ListOptions) -> BoxFuture<'a, Result<Value, Error>>;
}

impl ListPages for DynamicResource {
    fn page<'a>(&'a self, options: &'a ListOptions) -> BoxFuture<'a, Result<Value, Error>> {
        Box::pin(self.list(options))
    }
}

/// Reads collections page by page.
#[derive(Clone, Debug)]
pub struct Pager<P> {
    pages: P,
    size: i64,
    full_list_if_expired: bool,
}

/// Where a reading stands.
struct Walk {
    options: ListOptions,
    /// The options of the caller, for the full list after an expired token.
    original: ListOptions,
    first: bool,
    done: bool,
    paginated: bool,
}

impl<P: ListPages> Pager<P> {
    /// Pages of 500; after an expired token the whole list is read at once.
    pub fn new(pages: P) -> Self {
        Self { pages, size: PAGE_SIZE, full_list_if_expired: true }
    }

    /// Items of a page; 0 reads everything at once. Options with a limit of their own keep it.
    #[must_use]
    pub fn page_size(mut self, size: i64) -> Self {
        self.size = size;
        self
    }

    /// Whether an expired token is answered with one unpaginated list.
    #[must_use]
    pub fn full_list_if_expired(mut self, full: bool) -> Self {
        self.full_list_if_expired = full;
        self
    }

    fn walk(&self, options: &ListOptions) -> Walk {
        let mut options = options.clone();
        if options.limit == 0 {
            options.limit = self.size;
        }
        Walk { original: options.clone(), options, first: true, done: false, paginated: false }
    }

    /// The next page, and whether it starts over because the token had expired.
    async fn next(&self, walk: &mut Walk) -> Result<Option<(Value, bool)>, Error> {
        if walk.done {
            return Ok(None);
        }
        match self.pages.page(&walk.options).await {
            Ok(page) => {
                let token = page.meta_str("continue").to_owned();
                walk.done = token.is_empty();
                walk.paginated |= !token.is_empty();
                walk.first = false;
                walk.options.continue_token = token;
                // The token knows the version; sending both is refused.
                walk.options.resource_version.clear();
                walk.options.resource_version_match.clear();
                Ok(Some((page, false)))
            }
            Err(error) if error.is_expired() && !walk.first && self.full_list_if_expired => {
                walk.done = true;
                walk.paginated = true;
                let whole = ListOptions { limit: 0, continue_token: String::new(), ..walk.original.clone() };
                Ok(Some((self.pages.page(&whole).await?, true)))
            }
            Err(error) => Err(error),
        }
    }

    /// The whole collection as one list, and whether it came in pages. Its metadata is the first page's, without
    /// token and remaining count.
    ///
    /// # Errors
    /// The first failure; expired tokens as configured.
    pub async fn list(&self, options: &ListOptions) -> Result<(Value, bool), Error> {
        let mut walk = self.walk(options);
        let mut whole: Option<Value> = None;
        while let Some((page, restart)) = self.next(&mut walk).await? {
            match &mut whole {
                Some(whole) if !restart => append(whole, page),
                _ => whole = Some(page),
            }
        }
        let mut whole = whole.unwrap_or_else(|| Value::Object(Map::new()));
        if let Some(meta) = whole.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.remove("continue");
            meta.remove("remainingItemCount");
        }
        Ok((whole, walk.paginated))
    }

    /// Hands out each item. After an expired token items may be seen twice, as the whole list is read again.
    ///
    /// # Errors
    /// The first failure, of the server or of `visit`.
    pub async fn each<F>(&self, options: &ListOptions, mut visit: F) -> Result<(), Error>
    where
        F: FnMut(Value) -> Result<(), Error> + Send,
    {
        let mut walk = self.walk(options);
        while let Some((mut page, _)) = self.next(&mut walk).await? {
            for item in take_items(&mut page) {
                visit(item)?;
            }
        }
        Ok(())
    }
}

fn take_items(list: &mut Value) -> Vec<Value> {
    match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn append(whole: &mut Value, mut page: Value) {
    let more = take_items(&mut page);
    match whole.get_mut("items") {
        Some(Value::Array(items)) => items.extend(more),
        _ => whole["items"] = Value::Array(more),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use rehearsal_apimachinery::Status;
    use serde_json::json;

    /// Serves ten items; the token of the given page has expired.
    #[derive(Default)]
    struct Ten {
        asked: Mutex<Vec<String>>,
        expired: Option<usize>,
    }

    impl ListPages for Ten {
        fn page<'a>(&'a self, options: &'a ListOptions) -> BoxFuture<'a, Result<Value, Error>> {
            let query: Vec<_> = options.to_query().into_iter().map(|(k, v)| format!("{k}={v}")).collect();
            self.asked.lock().push(query.join("&"));
            let from: usize = options.continue_token.parse().unwrap_or(0);
            if self.expired == Some(from) {
                return Box::pin(std::future::ready(Err(Status::expired("x").into())));
            }
            let limit = usize::try_from(options.limit).unwrap();
            let to = if limit == 0 { 10 } else { (from + limit).min(10) };
            let mut meta = json!({"resourceVersion": format!("rv{from}")});
            if to < 10 {
                meta["continue"] = to.to_string().into();
                meta["remainingItemCount"] = (10 - to).into();
            }
            let items: Vec<_> = (from..to).collect();
            Box::pin(std::future::ready(Ok(json!({"kind": "List", "metadata": meta, "items": items}))))
        }
    }

    #[tokio::test]
    async fn pages_are_joined_and_the_version_is_asked_for_once() {
        let pager = Pager::new(Ten::default()).page_size(4);
        let (list, paginated) = pager.list(&ListOptions::default().resource_version("0")).await.unwrap();
        assert!(paginated);
        assert_eq!(
            list,
            json!({"kind": "List", "metadata": {"resourceVersion": "rv0"}, "items": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]})
        );
        assert_eq!(
            *pager.pages.asked.lock(),
            ["limit=4&resourceVersion=0", "continue=4&limit=4", "continue=8&limit=4"]
        );
    }

    #[tokio::test]
    async fn an_expired_token_means_one_full_list_at_the_original_version() {
        let pager = Pager::new(Ten { expired: Some(4), ..Ten::default() }).page_size(4);
        let (list, paginated) = pager.list(&ListOptions::default().resource_version("7")).await.unwrap();
        assert!(paginated && list["items"].as_array().unwrap().len() == 10);
        assert_eq!(pager.pages.asked.lock().last().unwrap(), "resourceVersion=7");
        let strict = Pager::new(Ten { expired: Some(4), ..Ten::default() }).page_size(4).full_list_if_expired(false);
        assert!(strict.list(&ListOptions::default()).await.unwrap_err().is_expired());
    }

    #[tokio::test]
    async fn expiry_of_the_first_page_is_an_error() {
        let pager = Pager::new(Ten { expired: Some(0), ..Ten::default() });
        assert!(pager.list(&ListOptions::default()).await.unwrap_err().is_expired());
    }

    #[tokio::test]
    async fn items_are_handed_out_one_by_one() {
        let pager = Pager::new(Ten::default()).page_size(3);
        let mut sum = 0;
        pager
            .each(&ListOptions::default(), |item| {
                sum += item.as_i64().unwrap();
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!(sum, 45);
        assert_eq!(pager.pages.asked.lock().len(), 4);
    }
}
