//! What the scheduler promises: answers as alone, no block lost, one end per request.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;

use proptest::prelude::{Strategy, any, prop, proptest};
use realizar_model::ModelError;
use realizar_sample::SampleOptions;
use realizar_tokenize::{Compat, GgufVocab};

use super::*;
use crate::SubmitError;
use crate::channel::{Event, Ticket, TryNext, channel};
use crate::request::AnswerOptions;
use crate::slot::Slot;

const VOCAB: u32 = 40;
const CONTEXT: usize = 200;
/// Tokens of a prompt that make the fake model misbehave.
const PANICS: u32 = 30;
const BREAKS: u32 = 31;
const FAILS: u32 = 32;

/// A model whose next token is a function of all tokens before it, and that fails when told to.
#[derive(Debug, Default)]
struct Fake {
    sequences: HashMap<u32, Vec<TokenId>>,
    opened: u32,
    blocks: usize,
    refuses_to_open: bool,
    breaks_down: bool,
    /// How long a step takes, and how long each of its tokens.
    slow: Duration,
    per_token: Duration,
    /// A step beside answers may not have more; 0 is no limit.
    most_tokens: usize,
}

impl Fake {
    fn next(tokens: &[TokenId]) -> u32 {
        3 + tokens
            .iter()
            .enumerate()
            .fold(7u32, |sum, (i, t)| sum.wrapping_mul(31).wrapping_add(t ^ i as u32))
            % 20
    }
}

impl Runner for Fake {
    type Seq = u32;

    fn open(&mut self) -> Result<u32, ModelError> {
        if self.refuses_to_open {
            return Err(ModelError::TooManySequences { limit: 0 });
        }
        self.opened += 1;
        self.sequences.insert(self.opened, Vec::new());
        Ok(self.opened)
    }

    fn close(&mut self, seq: u32) -> Result<(), ModelError> {
        self.sequences.remove(&seq).map(drop).ok_or(ModelError::UnknownSequence { seq: seq as usize })
    }

    fn cut(&mut self, seq: u32, len: usize) -> Result<(), ModelError> {
        self.sequences.get_mut(&seq).ok_or(ModelError::UnknownSequence { seq: 0 })?.truncate(len);
        Ok(())
    }

    fn forward(
        &mut self,
        parts: &[Part<'_, u32>],
        rows: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<(), EngineError> {
        let all: usize = parts.iter().map(|part| part.tokens.len()).sum();
        let time = self.slow + self.per_token * all as u32;
        if !time.is_zero() {
            std::thread::sleep(time);
        }
        assert!(self.most_tokens == 0 || all <= self.most_tokens, "a step of {all} tokens");
        for part in parts {
            let tokens = self.sequences.get_mut(&part.seq).ok_or(ModelError::UnknownSequence { seq: 0 })?;
            // Half of the batch is changed when it fails: the scheduler must cut that back.
            tokens.extend_from_slice(part.tokens);
            assert!(!part.tokens.contains(&PANICS), "a bug in the model");
            if part.tokens.contains(&FAILS) {
                return Err(ModelError::CacheFull { needed: 1, free: 0 }.into());
            }
        }
        for (index, part) in parts.iter().enumerate().filter(|(_, part)| part.wanted) {
            let tokens = &self.sequences[&part.seq];
            let mut row = vec![0.0; VOCAB as usize];
            row[Self::next(tokens) as usize] = if tokens.contains(&BREAKS) { f32::NAN } else { 9.0 };
            rows(index, &row);
        }
        Ok(())
    }

    fn blocks(&self) -> (usize, usize) {
        assert!(!self.breaks_down || self.opened < 2, "the scheduler breaks down");
        let held: usize = self.sequences.values().map(|tokens| tokens.len().div_ceil(BLOCK_TOKENS)).sum();
        (self.blocks.checked_sub(held).expect("no more blocks than there are"), self.blocks)
    }
}

fn tokenizer() -> Tokenizer {
    let texts: Vec<String> = (0..VOCAB)
        .map(|id| match id {
            0 => "<unk>".to_owned(),
            1 => "<s>".to_owned(),
            2 => "</s>".to_owned(),
            id => char::from(b'A' + id as u8 - 3).to_string(),
        })
        .collect();
    let vocab = GgufVocab {
        model: "llama",
        tokens: texts.iter().map(String::as_bytes).collect(),
        scores: Some(vec![0.0; VOCAB as usize]),
        types: Some(
            (0..VOCAB)
                .map(|id| {
                    if id == 0 {
                        2
                    } else if id < 3 {
                        3
                    } else {
                        1
                    }
                })
                .collect(),
        ),
        unk: Some(0),
        bos: Some(1),
        eos: Some(2),
        ..GgufVocab::default()
    };
    Tokenizer::from_gguf(&vocab, Compat::Original).expect("a vocabulary")
}

/// A scheduler on its thread, and what a handle needs to talk to it.
struct Bench {
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    thread: Option<std::thread::JoinHandle<()>>,
    tokenizer: Arc<Tokenizer>,
    readers: AtomicU64,
}

impl Bench {
    fn start(fake: Fake, sequences: usize, prompt_tokens: usize) -> Self {
        Self::with_times(fake, sequences, prompt_tokens, Times::default())
    }

    fn with_times(fake: Fake, sequences: usize, prompt_tokens: usize, times: Times) -> Self {
        let (queue, counters, tokenizer) =
            (Arc::new(Queue::new(64, sequences)), Arc::new(Counters::default()), Arc::new(tokenizer()));
        let limits = Limits { sequences, prompt_tokens, short_prompt: 20, times };
        let scheduler =
            Scheduler::new(fake, Arc::clone(&tokenizer), Arc::clone(&queue), Arc::clone(&counters), limits);
        let thread = Some(std::thread::spawn(move || scheduler.serve()));
        Self { queue, counters, thread, tokenizer, readers: AtomicU64::new(0) }
    }

    fn submit(
        &self,
        prompt: &[TokenId],
        options: &AnswerOptions,
        events: usize,
        time: Option<Duration>,
    ) -> Ticket {
        self.submit_for(0, prompt, options, events, time)
    }

    fn submit_for(
        &self,
        owner: u64,
        prompt: &[TokenId],
        options: &AnswerOptions,
        events: usize,
        time: Option<Duration>,
    ) -> Ticket {
        let (job, ticket) = self.job(owner, prompt, options, events, time);
        self.queue.push(job, |_| Duration::ZERO).expect("room in the queue");
        ticket
    }

    fn job(
        &self,
        owner: u64,
        prompt: &[TokenId],
        options: &AnswerOptions,
        events: usize,
        time: Option<Duration>,
    ) -> (Job, Ticket) {
        let queue = Arc::clone(&self.queue);
        let (sink, ticket) = channel(events, None, Arc::new(move || queue.ring()));
        let submitted = Instant::now();
        let slot = Slot::new(prompt, options, CONTEXT, &[2].into()).expect("a good request");
        let reader = self.readers.fetch_add(1, Ordering::Relaxed);
        (Job { slot, sink, owner, reader, submitted, deadline: deadline(submitted, time) }, ticket)
    }

    /// What the answer must be, by the rule of the fake model.
    fn expected(&self, prompt: &[TokenId], n: usize) -> String {
        let mut tokens = prompt.to_vec();
        for _ in 0..n {
            tokens.push(Fake::next(&tokens));
        }
        let bytes = tokens[prompt.len()..]
            .iter()
            .flat_map(|&id| self.tokenizer.token_bytes(id, false).expect("known").into_owned());
        String::from_utf8(bytes.collect()).expect("ASCII")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.queue.set_mode(Mode::Stopped);
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()), "the thread never panics");
    }
}

fn fake() -> Fake {
    Fake { blocks: 64, ..Fake::default() }
}

fn options(n: usize) -> AnswerOptions {
    AnswerOptions { max_tokens: Some(n), ..AnswerOptions::new(SampleOptions::greedy()) }
}

/// Text and end of an answer.
fn finish(mut ticket: Ticket) -> (String, Result<Finish, String>) {
    let mut text = String::new();
    loop {
        match ticket.next_timeout(Duration::from_secs(30)) {
            TryNext::Event(Event::Token(token)) => text.push_str(&token.text),
            TryNext::Event(Event::Finished { finish, .. }) => return (text, Ok(finish)),
            TryNext::Event(Event::Failed(error)) => return (text, Err(error.to_string())),
            other => panic!("{other:?} after `{text}`"),
        }
    }
}

#[test]
fn requests_join_and_leave() {
    let bench = Bench::start(fake(), 3, 16);
    let prompts: Vec<Vec<TokenId>> =
        (0..12).map(|i| (0..1 + i * 7).map(|j| 3 + (i * j) as u32 % 20).collect()).collect();
    let tickets: Vec<Ticket> =
        prompts.iter().map(|p| bench.submit(p, &options(5 + p.len() % 9), 64, None)).collect();
    for (prompt, ticket) in prompts.iter().zip(tickets) {
        let n = 5 + prompt.len() % 9;
        assert_eq!(
            finish(ticket),
            (bench.expected(prompt, n), Ok(Finish::Length)),
            "prompt of {}",
            prompt.len()
        );
    }
    assert!(bench.queue.wait_idle(Duration::from_secs(10)));
    let stats = bench.counters.read(0);
    assert_eq!((stats.kv_blocks_free, stats.kv_blocks_total, stats.running), (64, 64, 0));
    assert_eq!(stats.prompt_tokens_total, prompts.iter().map(|p| p.len() as u64).sum::<u64>());
    assert_eq!(stats.generated_tokens_total, prompts.iter().map(|p| 5 + p.len() as u64 % 9).sum::<u64>());
}

#[test]
fn a_request_that_breaks_ends_alone() {
    for (name, poison, message) in [
        ("a panic", PANICS, "a bug in the model"),
        ("scores that are no numbers", BREAKS, "must be finite"),
        ("an error of the model", FAILS, "cache blocks"),
    ] {
        let bench = Bench::start(fake(), 4, 64);
        let good: Vec<Ticket> = (0..3).map(|i| bench.submit(&[5 + i, 6], &options(40), 64, None)).collect();
        let bad = bench.submit(&[5, poison], &options(40), 64, None);
        let (_, end) = finish(bad);
        assert!(end.as_ref().is_err_and(|error| error.contains(message)), "{name}: {end:?}");
        for (i, ticket) in (0..).zip(good) {
            assert_eq!(finish(ticket), (bench.expected(&[5 + i, 6], 40), Ok(Finish::Length)), "{name}");
        }
        assert!(bench.queue.wait_idle(Duration::from_secs(10)), "{name}");
        assert_eq!(bench.counters.read(0).kv_blocks_free, 64, "{name}: blocks are lost");
    }
}

#[test]
fn who_finds_a_free_place_does_not_wait() {
    let bench = Bench::start(fake(), 1, 64);
    // A queue that nobody takes from: one may wait before three places.
    let queue = Queue::new(1, 3);
    let push = || {
        let (job, _ticket) = bench.job(0, &[5], &options(1), 64, None);
        queue.push(job, |_| Duration::from_secs(1))
    };
    for _ in 0..4 {
        assert_eq!(push(), Ok(()));
    }
    let full = Err(SubmitError::QueueFull { waiting: 1, limit: 1, retry_after: Duration::from_secs(1) });
    assert_eq!(push(), full);
    queue.lock().waiting.clear();
    queue.set_running(3);
    assert_eq!(push(), Ok(()));
    assert_eq!(push(), full);
}

#[test]
fn callers_can_go_away() {
    let bench = Bench::start(fake(), 1, 64);
    let running = bench.submit(&[5], &options(150), 1, None);
    let waiting = bench.submit(&[6], &options(5), 64, None);
    let third = bench.submit(&[7], &options(5), 64, None);
    // The first is parked by its full channel and holds the only place.
    drop(waiting);
    drop(running);
    assert_eq!(finish(third), (bench.expected(&[7], 5), Ok(Finish::Length)));
    let told = bench.submit(&[8], &options(150), 1, None);
    told.cancel();
    assert_eq!(finish(told).1, Ok(Finish::Cancelled));
    assert!(bench.queue.wait_idle(Duration::from_secs(10)));
    assert_eq!(bench.counters.read(0).kv_blocks_free, 64);
}

#[test]
fn time_runs_out_while_running_and_while_waiting() {
    let bench = Bench::start(fake(), 1, 64);
    let soon = Some(Duration::from_millis(30));
    let running = bench.submit(&[5], &options(150), 1, soon);
    let waiting = bench.submit(&[6], &options(5), 64, soon);
    assert_eq!(finish(waiting), (String::new(), Ok(Finish::Deadline)));
    assert_eq!(finish(running).1, Ok(Finish::Deadline));
    assert_eq!(
        deadline(Instant::now(), Some(Duration::MAX)),
        None,
        "a time that no clock can tell is no limit"
    );
}

#[test]
fn row_157_nobody_waits_without_end() {
    let limit = Duration::from_millis(30);
    let times = Times { queue: Some(limit), ..Times::default() };
    let bench = Bench::with_times(fake(), 1, 64, times);
    // The first is parked by its full channel and holds the only place.
    let running = bench.submit(&[5], &options(150), 1, None);
    let waiting = bench.submit(&[6], &options(5), 64, None);
    let (text, end) = finish(waiting);
    assert_eq!((text.as_str(), end), ("", Err("the request waited for 0 s without being begun".to_owned())));
    // It has begun, so its own time goes on.
    assert_eq!(finish(running).1, Ok(Finish::Length));
    let times = Times { first_token: Some(limit), ..Times::default() };
    let bench = Bench::with_times(Fake { blocks: 64, slow: limit, ..Fake::default() }, 1, 1, times);
    let prompts = [bench.submit(&[5; 20], &options(5), 64, None), bench.submit(&[5], &options(5), 64, None)];
    for ticket in prompts {
        assert_eq!(finish(ticket).1, Err("no token came within 0 s".to_owned()));
    }
}

#[test]
fn row_157_owners_take_turns() {
    let bench = Bench::start(fake(), 2, 64);
    // One owner holds both places, and much more of its own waits.
    let held = [
        bench.submit_for(1, &[5], &options(150), 1, None),
        bench.submit_for(1, &[5], &options(150), 1, None),
    ];
    let mut waiting: Vec<Ticket> =
        (0..5).map(|_| bench.submit_for(1, &[6], &options(150), 1, None)).collect();
    let other = bench.submit_for(2, &[7], &options(5), 64, None);
    drop(held);
    assert_eq!(finish(other).1, Ok(Finish::Length), "the other owner has its turn");
    assert!(matches!(waiting[0].next_timeout(Duration::from_secs(20)), TryNext::Event(Event::Token(_))));
}

#[test]
fn row_156_a_long_prompt_goes_in_small_pieces_beside_answers() {
    let per_token = Duration::from_micros(200);
    let bench = Bench::start(Fake { most_tokens: 40, per_token, ..fake() }, 2, 190);
    let mut writing = bench.submit(&[5], &options(150), 200, None);
    assert!(matches!(writing.next_timeout(Duration::from_secs(20)), TryNext::Event(Event::Token(_))));
    let long = vec![6; 180];
    let (text, end) = finish(bench.submit(&long, &options(3), 64, None));
    assert_eq!((text, end), (bench.expected(&long, 3), Ok(Finish::Length)));
}

#[test]
fn a_slow_reader_holds_up_nobody_else() {
    let bench = Bench::start(fake(), 2, 64);
    let mut slow = bench.submit(&[5], &options(30), 2, None);
    for i in 0..5 {
        let quick = bench.submit(&[6 + i], &options(50), 64, None);
        assert_eq!(finish(quick), (bench.expected(&[6 + i], 50), Ok(Finish::Length)));
    }
    assert!(matches!(slow.try_next(), TryNext::Event(Event::Token(_))));
    let (rest, end) = finish(slow);
    assert_eq!(rest, bench.expected(&[5], 30)[1..]);
    assert_eq!(end, Ok(Finish::Length));
}

#[test]
fn row_122_answers_that_nobody_reads_give_way_to_those_who_wait_and_lose_nothing() {
    // Places, blocks: first the places are what is short, then the memory is, where each answer may come to three blocks.
    for (sequences, blocks) in [(4, 64), (64, 12)] {
        let times = Times { stalled: Some(Duration::from_millis(20)), ..Times::default() };
        let bench = Bench::with_times(Fake { blocks, ..Fake::default() }, sequences, 64, times);
        // Twice as many as there is room for: some of them never have a place at all until others have given theirs up.
        let prompts: Vec<Vec<TokenId>> = (0..8).map(|i| vec![5 + i; 3 + i as usize]).collect();
        let unread: Vec<Ticket> =
            prompts.iter().map(|prompt| bench.submit(prompt, &options(150), 4, None)).collect();
        let reading = bench.submit(&[20], &options(50), 4, None);
        assert_eq!(finish(reading), (bench.expected(&[20], 50), Ok(Finish::Length)));
        let stats = bench.counters.read(0);
        assert!(stats.parked > 0 && stats.running <= 4, "{stats:?}");
        // Now all of them are read, the last one first.
        let readers: Vec<_> =
            unread.into_iter().rev().map(|ticket| std::thread::spawn(move || finish(ticket))).collect();
        for (prompt, reader) in prompts.iter().rev().zip(readers) {
            let answer = reader.join().expect("a reader");
            assert_eq!(answer, (bench.expected(prompt, 150), Ok(Finish::Length)), "{prompt:?}");
        }
        assert!(bench.queue.wait_idle(Duration::from_secs(10)));
        let stats = bench.counters.read(0);
        assert_eq!((stats.kv_blocks_free, stats.running, stats.parked), (blocks, 0, 0));
        let read: usize = prompts.iter().map(Vec::len).sum();
        assert_eq!(stats.prompt_tokens_total, read as u64 + 1, "each prompt counts once");
        assert_eq!(stats.generated_tokens_total, 8 * 150 + 50);
    }
}

#[test]
fn row_122_readers_that_stand_still_are_served_after_those_who_may_not() {
    let times = Times { stalled: Some(Duration::from_secs(4)), ..Times::default() };
    let bench = Bench::with_times(fake(), 2, 64, times);
    // Two readers with eight answers each, which nobody reads; then one that reads.
    let unread: Vec<Ticket> = (0..16)
        .map(|at| {
            let (mut job, ticket) = bench.job(0, &[5], &options(150), 1, None);
            job.reader = 1_000 + at / 8;
            bench.queue.push(job, |_| Duration::ZERO).expect("room in the queue");
            ticket
        })
        .collect();
    let reading = bench.submit(&[7], &options(20), 64, None);
    assert_eq!(finish(reading).1, Ok(Finish::Length));
    // One wave had to show who reads; the others of both readers were not tried before it.
    let parked = bench.counters.read(0).parked;
    assert!((1..=3).contains(&parked), "{parked} gave way first");
    drop(unread);
}

#[test]
fn row_122_answers_that_gave_way_end_with_their_callers_and_their_time() {
    let times = Times { stalled: Some(Duration::ZERO), ..Times::default() };
    let bench = Bench::with_times(fake(), 1, 64, times);
    let gone = bench.submit(&[5], &options(150), 1, None);
    let late = bench.submit(&[6], &options(150), 1, Some(Duration::from_millis(200)));
    let mut kept = bench.submit(&[7], &options(150), 1, None);
    assert!(matches!(kept.next_timeout(Duration::from_secs(20)), TryNext::Event(Event::Token(_))));
    drop(gone);
    while bench.counters.read(0).parked > 0 {
        std::thread::yield_now();
    }
    assert_eq!(finish(late).1, Ok(Finish::Deadline));
    bench.queue.set_mode(Mode::Stopped);
    assert_eq!(finish(kept).1, Ok(Finish::Cancelled));
    assert!(bench.queue.wait_idle(Duration::from_secs(10)));
}

#[test]
fn row_122_no_more_answers_give_way_than_requests_may_wait() {
    let times = Times { stalled: Some(Duration::ZERO), ..Times::default() };
    let bench = Bench::with_times(fake(), 2, 64, times);
    let unread: Vec<Ticket> = (0..64).map(|_| bench.submit(&[5], &options(150), 1, None)).collect();
    let all_begun = |bench: &Bench| bench.counters.read(0).parked == 62;
    while !all_begun(&bench) {
        std::thread::yield_now();
    }
    let more: Vec<Ticket> = (0..6).map(|_| bench.submit(&[6], &options(150), 1, None)).collect();
    // Two of them find a place to give up; then it is full.
    while bench.counters.read(0).parked < 64 {
        std::thread::yield_now();
    }
    drop(unread);
    for ticket in more {
        assert_eq!(finish(ticket).1, Ok(Finish::Length));
    }
}

#[test]
fn blocks_that_are_not_there_are_waited_for() {
    // Room for one answer of up to 128 tokens at a time.
    let bench = Bench::start(Fake { blocks: 2, ..Fake::default() }, 4, 64);
    let tickets: Vec<Ticket> = (0..4).map(|i| bench.submit(&[5 + i], &options(100), 200, None)).collect();
    for (i, ticket) in (0..).zip(tickets) {
        assert_eq!(finish(ticket), (bench.expected(&[5 + i], 100), Ok(Finish::Length)));
    }
}

#[test]
fn a_model_that_opens_no_sequence() {
    let bench = Bench::start(Fake { refuses_to_open: true, ..fake() }, 1, 64);
    let (_, end) = finish(bench.submit(&[5], &options(5), 64, None));
    assert!(end.is_err_and(|error| error.contains("sequences")));
}

#[test]
fn a_scheduler_that_breaks_down_tells_everyone() {
    let bench = Bench::start(Fake { breaks_down: true, ..fake() }, 1, 64);
    assert_eq!(finish(bench.submit(&[5], &options(3), 64, None)).1, Ok(Finish::Length));
    // All at once: whoever came after the breakdown would find a queue that takes nothing.
    let (jobs, doomed): (Vec<Job>, Vec<Ticket>) =
        (0..3).map(|_| bench.job(0, &[5], &options(3), 64, None)).unzip();
    bench.queue.lock().waiting.extend(jobs);
    bench.queue.ring();
    for ticket in doomed {
        assert!(finish(ticket).1.is_err_and(|error| error.contains("stopped")));
    }
    assert!(bench.queue.wait_idle(Duration::from_secs(10)));
}

#[test]
fn stopping_ends_everything() {
    let bench = Bench::start(fake(), 1, 64);
    let tickets = [bench.submit(&[5], &options(150), 1, None), bench.submit(&[6], &options(5), 64, None)];
    bench.queue.set_mode(Mode::Stopped);
    bench.queue.set_mode(Mode::Draining);
    for ticket in tickets {
        assert_eq!(finish(ticket).1, Ok(Finish::Cancelled));
    }
}

/// What a caller does: a prompt, how long an answer, how many events unread, and when to go away.
type Caller = (Vec<TokenId>, usize, usize, Option<usize>);

fn callers() -> impl Strategy<Value = Vec<Caller>> {
    let poison = prop::sample::select(vec![5u32, 5, 5, 5, 5, PANICS, BREAKS, FAILS]);
    let prompt = (prop::collection::vec(3u32..23, 1..60), poison).prop_map(|(mut prompt, last)| {
        prompt.push(last);
        prompt
    });
    prop::collection::vec(
        (
            prompt,
            1usize..40,
            1usize..6,
            any::<Option<bool>>().prop_map(|gone| gone.map(|g| usize::from(g) * 3)),
        ),
        1..24,
    )
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 24, ..Default::default() })]
    #[test]
    fn any_mix_of_requests_ends_with_all_blocks_free(
        callers in callers(), sequences in 1usize..5, budget in 1usize..40, patience in prop::option::of(0u64..3),
    ) {
        let times = Times { stalled: patience.map(Duration::from_millis), ..Times::default() };
        let bench = Bench::with_times(Fake { blocks: 5, ..Fake::default() }, sequences, budget, times);
        let tickets: Vec<Ticket> = callers.iter().map(|(prompt, n, events, _)| bench.submit(prompt, &options(*n), *events, None)).collect();
        let readers: Vec<_> = callers.iter().cloned().zip(tickets).map(|((prompt, n, _, leaves), mut ticket)| {
            let whole = bench.expected(&prompt, n);
            std::thread::spawn(move || match leaves {
                Some(after) => {
                    for _ in 0..after {
                        drop(ticket.next_event());
                    }
                }
                None => match finish(ticket) {
                    (text, Ok(Finish::Length)) => assert_eq!(text, whole),
                    (_, Err(_)) => assert!([PANICS, BREAKS, FAILS].contains(&prompt[prompt.len() - 1])),
                    other => panic!("{other:?}"),
                },
            })
        }).collect();
        for reader in readers {
            reader.join().expect("every caller gets what is due to it");
        }
        assert!(bench.queue.wait_idle(Duration::from_secs(20)));
        assert_eq!(bench.counters.read(0).kv_blocks_free, 5);
    }
}
