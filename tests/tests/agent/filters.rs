//! Each filter of `events`, and each two of them, through the agent: the same lines as without, but for those that do not fit.

use crate::agent::Agent;
use crate::churn::Place;
use netstat_tests::truth::pairs;
use netstat_tests::truth::runner::{Done, Test};
use netstat_tests::truth::tracer::now_ns;

pub const TESTS: &[Test] = &[("filters::every_pair_through_the_agent", every_pair_through_the_agent)];

fn every_pair_through_the_agent() -> Done {
    let place = Place::new();
    let agent = Agent::start(&[]);
    let (listener, port) = place.namespace.enter(pairs::listener);
    let filters = pairs::filters(port);
    let netns = place.netns.to_string();
    let mut whole = agent.events(&["--netns", &netns]);
    let start = |filters: Vec<_>| (filters.clone(), agent.events(&pairs::arguments(&filters, &netns)));
    let tracers = pairs::pairs(&filters).into_iter().map(start).collect();
    let since_ns = now_ns();
    let last = place.namespace.enter(|| pairs::traffic(listener));
    whole.wait_closed([&last]);
    pairs::check_all(&whole.finish().events, since_ns, tracers);
    agent.stop();
    place.leave();
    Done::Passed
}
