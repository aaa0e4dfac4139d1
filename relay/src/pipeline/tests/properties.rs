//! What holds for any order of acknowledgements and for any bytes.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

proptest! {
    /// Reports come in any order over partitions (yugabyte/yugabyte-db#33126): the watermark never passes a record that
    /// is not acknowledged, never moves back, and ends at the last commit.
    #[test]
    fn acknowledgements_in_any_order_never_confirm_an_unacknowledged_record(
        sizes in prop::collection::vec(0_usize..5, 1..30),
        order in prop::collection::vec(any::<prop::sample::Index>(), 150),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut pipeline, mut sink) = (pipeline(), Taken::default());
        let mut buffer = relation();
        for (number, size) in sizes.iter().enumerate() {
            let lsn = 100 * (number as u64 + 1);
            buffer.extend(transaction(lsn, lsn + 10, &vec!["x"; *size]));
        }
        let cut = cut.index(buffer.len());
        let first = pipeline.feed(&buffer[..cut], Until::Exhausted, &mut sink).consumed;
        prop_assert_eq!(pipeline.feed(&buffer[first..], Until::Exhausted, &mut sink).stop, Stop::Starved);

        let end_of: Vec<u64> = sizes.iter().enumerate()
            .flat_map(|(number, size)| std::iter::repeat_n(100 * (number as u64 + 1) + 10, *size))
            .collect();
        let mut open: BTreeSet<usize> = (0..sink.records.len()).collect();
        let mut before = 0;
        for index in order {
            let Some(&record) = (!open.is_empty()).then(|| open.iter().nth(index.index(open.len()))).flatten() else {
                break;
            };
            open.remove(&record);
            pipeline.acknowledge(sink.records[record].0);
            let now = flushed(&mut pipeline);
            prop_assert!(now >= before);
            if let Some(&oldest) = open.first() {
                prop_assert!(now < end_of[oldest], "confirmed {now}, and record {oldest} is not acknowledged");
            }
            before = now;
        }
        if open.is_empty() {
            prop_assert_eq!(flushed(&mut pipeline), 100 * sizes.len() as u64 + 10);
        }
    }

    #[test]
    fn no_bytes_make_the_pipeline_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), begun in any::<bool>()) {
        let (mut pipeline, mut sink) = (pipeline(), Taken::default());
        let mut buffer = if begun { [relation(), begin(5)].concat() } else { Vec::new() };
        buffer.extend(xlog_data(&bytes));
        buffer.extend(bytes);
        pipeline.feed(&buffer, Until::Exhausted, &mut sink);
    }
}
