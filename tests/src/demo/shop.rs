//! An imaginary shop: which orders are placed, paid, shipped and cancelled next. Pure; it touches no database.

use fastrand::Rng;
use serde_json::{Value, json};
use uuid::Uuid;

const NAMES: [&str; 8] = [
    "Ada", "Barbara", "Edsger", "Frances", "Grace", "Ken", "Leslie", "Margaret",
];
const GOODS: [(&str, u32); 6] = [
    ("TEA-EARL-GREY", 790),
    ("TEAPOT-1L", 3490),
    ("MUG-BLUE", 1250),
    ("SUGAR-CUBES", 349),
    ("KETTLE-STEEL", 5900),
    ("SCONES-6", 620),
];
/// A customer is new in every transaction of this number, and the card is declined in every one of the other.
const NEW_CUSTOMER_EVERY: u64 = 5;
const DECLINED_EVERY: u64 = 7;
const OPEN_ORDERS_MAX: usize = 6;

/// What one transaction does.
#[derive(Debug)]
pub(super) struct Step {
    /// The rows for the outbox, in their order.
    pub(super) events: Vec<Event>,
    /// Why the transaction is rolled back in the end, if it is.
    pub(super) refused: Option<&'static str>,
}

/// One row for the outbox and the change in the shop's own tables that it tells of.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) aggregate_type: &'static str,
    pub(super) aggregate_id: String,
    pub(super) event_type: &'static str,
    pub(super) version: i64,
    pub(super) payload: Value,
    pub(super) metadata: Value,
    pub(super) change: Change,
    /// For the terminal.
    pub(super) summary: String,
}

/// The change in the shop's own tables.
#[derive(Debug)]
pub(super) enum Change {
    Customer {
        name: String,
    },
    Order {
        customer: String,
        status: Status,
        total: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Placed,
    Paid,
    Shipped,
    Cancelled,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Paid => "paid",
            Self::Shipped => "shipped",
            Self::Cancelled => "cancelled",
        }
    }

    fn event_type(self) -> &'static str {
        match self {
            Self::Placed => "OrderPlaced",
            Self::Paid => "OrderPaid",
            Self::Shipped => "OrderShipped",
            Self::Cancelled => "OrderCancelled",
        }
    }
}

#[derive(Debug, Clone)]
struct Order {
    id: String,
    customer: String,
    items: Vec<(&'static str, u32, u32)>,
    status: Status,
    version: i64,
    correlation_id: String,
}

impl Order {
    fn cents(&self) -> u32 {
        self.items.iter().map(|(_, quantity, cents)| quantity * cents).sum()
    }
}

/// The shop's memory.
#[derive(Debug)]
pub(super) struct Shop {
    rng: Rng,
    steps: u64,
    customers: Vec<String>,
    last_order: u32,
    open: Vec<Order>,
}

impl Shop {
    pub(super) fn new(rng: Rng) -> Shop {
        Shop {
            rng,
            steps: 0,
            customers: Vec::new(),
            last_order: 1000,
            open: Vec::new(),
        }
    }

    /// The next transaction.
    pub(super) fn next_step(&mut self) -> Step {
        let number = self.steps;
        self.steps += 1;
        if number.is_multiple_of(NEW_CUSTOMER_EVERY) {
            return self.first_order();
        }
        if number.is_multiple_of(DECLINED_EVERY) {
            let order = self.new_order();
            let events = vec![self.tell(&order, summary(&order))];
            return Step {
                events,
                refused: Some("card declined"),
            };
        }
        let place = self.open.len() < 2 || (self.open.len() < OPEN_ORDERS_MAX && self.rng.u8(..3) == 0);
        let event = if place { self.place() } else { self.advance() };
        Step {
            events: vec![event],
            refused: None,
        }
    }

    /// A new customer and their order: two rows, two topics, one commit.
    fn first_order(&mut self) -> Step {
        let id = format!("customer-{}", 101 + self.customers.len());
        let name = self.rng.choice(NAMES).unwrap_or("Ada").to_owned();
        let registered = Event {
            id: Uuid::now_v7().to_string(),
            aggregate_type: "customer",
            aggregate_id: id.clone(),
            event_type: "CustomerRegistered",
            version: 1,
            payload: json!({"customer_id": id, "name": name}),
            metadata: self.metadata(&Uuid::new_v4().to_string()),
            summary: name.clone(),
            change: Change::Customer { name },
        };
        self.customers.push(id.clone());
        let mut order = self.new_order();
        order.customer = id;
        let placed = self.tell(&order, format!("{}, in the same transaction", summary(&order)));
        self.open.push(order);
        Step {
            events: vec![registered, placed],
            refused: None,
        }
    }

    fn place(&mut self) -> Event {
        let order = self.new_order();
        let event = self.tell(&order, summary(&order));
        self.open.push(order);
        event
    }

    /// Moves some open order on: placed, paid, shipped; now and then it is cancelled instead of paid.
    fn advance(&mut self) -> Event {
        let mut order = self.open.swap_remove(self.rng.usize(..self.open.len()));
        let (status, words) = match order.status {
            Status::Placed if self.rng.u8(..5) == 0 => (Status::Cancelled, "changed their mind".to_owned()),
            Status::Placed => (Status::Paid, format!("{} EUR", euros(order.cents()))),
            _ => (Status::Shipped, format!("parcel {:08}", self.rng.u32(..100_000_000))),
        };
        order.status = status;
        order.version += 1;
        let event = self.tell(&order, words);
        if status == Status::Paid {
            self.open.push(order);
        }
        event
    }

    fn new_order(&mut self) -> Order {
        self.last_order += 1;
        let mut goods = GOODS;
        self.rng.shuffle(&mut goods);
        let count = self.rng.usize(1..=3);
        let items = goods
            .iter()
            .take(count)
            .map(|(sku, cents)| (*sku, self.rng.u32(1..=3), *cents));
        Order {
            id: format!("order-{}", self.last_order),
            items: items.collect(),
            customer: self.rng.choice(&self.customers).cloned().unwrap_or_default(),
            status: Status::Placed,
            version: 1,
            correlation_id: Uuid::new_v4().to_string(),
        }
    }

    fn tell(&mut self, order: &Order, summary: String) -> Event {
        let total = euros(order.cents());
        let items = order.items.iter().map(|(sku, quantity, cents)| {
            json!({"sku": sku, "quantity": quantity, "price": {"amount": euros(*cents), "currency": "EUR"}})
        });
        let payload = json!({
            "order_id": order.id,
            "customer_id": order.customer,
            "status": order.status.name(),
            "total": {"amount": total, "currency": "EUR"},
            "items": items.collect::<Vec<Value>>(),
        });
        Event {
            id: Uuid::now_v7().to_string(),
            aggregate_type: "order",
            aggregate_id: order.id.clone(),
            event_type: order.status.event_type(),
            version: order.version,
            payload,
            metadata: self.metadata(&order.correlation_id),
            change: Change::Order {
                customer: order.customer.clone(),
                status: order.status,
                total,
            },
            summary,
        }
    }

    fn metadata(&mut self, correlation_id: &str) -> Value {
        let (trace, span) = (self.rng.u128(1..), self.rng.u64(1..));
        json!({"correlation_id": correlation_id, "traceparent": format!("00-{trace:032x}-{span:016x}-01")})
    }
}

fn summary(order: &Order) -> String {
    let pieces: u32 = order.items.iter().map(|(_, quantity, _)| quantity).sum();
    let word = if pieces == 1 { "item" } else { "items" };
    format!("{pieces} {word}, {} EUR", euros(order.cents()))
}

/// As text: JSON numbers are binary fractions to many readers, and money is not.
fn euros(cents: u32) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn versions_have_no_gaps_and_a_declined_order_is_never_heard_of_again() {
        let mut shop = Shop::new(Rng::with_seed(7));
        let mut versions: HashMap<String, i64> = HashMap::new();
        let mut declined = Vec::new();
        for _ in 0..2000 {
            let step = shop.next_step();
            for event in step.events {
                assert!(!declined.contains(&event.aggregate_id), "{event:?}");
                if step.refused.is_some() {
                    declined.push(event.aggregate_id);
                    continue;
                }
                let version = versions.entry(event.aggregate_id).or_default();
                *version += 1;
                assert_eq!(event.version, *version);
            }
        }
        assert!(!declined.is_empty());
    }

    #[test]
    fn cents_are_written_with_two_digits() {
        assert_eq!(euros(1205), "12.05");
        assert_eq!(euros(90), "0.90");
    }
}
