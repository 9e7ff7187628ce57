//! Tasks: that they are told apart, end when they should, and do not care which thread they run on.

use std::collections::HashSet;

use serde_json::json;

use super::bench::{Started, Waiting};
use super::{Bench, NEVER_WAITS, Not, OPERATIONS_PER_THREAD, STRANGE_TASK, THREADS, Verdict, require, skip};
use crate::abi::Status;
use crate::wire::{IoAnswer, IoResult};

/// Tasks that wait at once, in the test of many.
const MANY: usize = 256;

/// Nothing that a task asked for.
const NO_RESULTS: &[u8] = b"{\"v\":1,\"results\":[]}";

pub(super) fn resume_unknown(bench: &Bench<'_>) -> Verdict {
    for task in [STRANGE_TASK, 0] {
        let (status, _) = bench.plugin.resume(task, NO_RESULTS);
        require(status == Status::UnknownTask as i32, format!("task {task} was answered with status {status}"))?;
    }
    Ok(())
}

pub(super) fn free_unknown(bench: &Bench<'_>) -> Verdict {
    for task in [STRANGE_TASK, STRANGE_TASK, 0] {
        bench.plugin.free_task(task);
    }
    super::table::describes(bench)
}

pub(super) fn requests_have_ids(bench: &Bench<'_>) -> Verdict {
    let (_, requests) = bench.send(&bench.send_document(), |op| bench.agree(op))?;
    if requests.is_empty() {
        return skip(NEVER_WAITS);
    }
    let mut ids = HashSet::new();
    require(requests.iter().all(|request| ids.insert(request.id)), "an id was used twice")
}

pub(super) fn freed_task_is_gone(bench: &Bench<'_>) -> Verdict {
    let waiting = bench.waiting()?;
    bench.plugin.free_task(waiting.task);
    let (status, _) = bench.plugin.resume(waiting.task, NO_RESULTS);
    require(status == Status::UnknownTask as i32, format!("`resume` answered status {status}"))?;
    bench.plugin.free_task(waiting.task);
    super::messages::send_ends(bench)
}

pub(super) fn ended_task_is_gone(bench: &Bench<'_>) -> Verdict {
    let waiting = bench.waiting()?;
    let task = waiting.task;
    bench.finish(Started::Waits(waiting), |op| bench.agree(op))?;
    let (status, _) = bench.plugin.resume(task, NO_RESULTS);
    require(status == Status::UnknownTask as i32, format!("`resume` answered status {status}"))
}

pub(super) fn bad_resume_keeps_task(bench: &Bench<'_>) -> Verdict {
    let waiting = bench.waiting()?;
    for input in [&b""[..], b"}{", b"[]", b"{\"v\":1}"] {
        let (status, _) = bench.plugin.resume(waiting.task, input);
        let shown = String::from_utf8_lossy(input);
        require(status == Status::BadInput as i32, format!("{shown:?} was answered with status {status}"))?;
    }
    bench.finish(Started::Waits(waiting), |op| bench.agree(op)).map(drop)
}

pub(super) fn strange_result(bench: &Bench<'_>) -> Verdict {
    let mut waiting = bench.waiting()?;
    let unused = waiting.requests.iter().map(|request| request.id).max().unwrap_or_default() + 1_000_000;
    let result = IoResult { id: unused, result: IoAnswer::Slept };
    match bench.resume(&waiting, vec![result])? {
        Started::Ended(_) => Err(Not::Passed("the task ended by it".to_owned())),
        Started::Waits(more) => {
            waiting.requests.extend(more.requests);
            bench.finish(Started::Waits(waiting), |op| bench.agree(op)).map(drop)
        }
    }
}

pub(super) fn interleaved(bench: &Bench<'_>) -> Verdict {
    let alone = bench.send(&bench.send_document(), |op| bench.agree(op))?.0;
    let (first, second) = (bench.waiting()?, bench.waiting()?);
    require(first.task != second.task, format!("both have the number {}", first.task))?;
    // The later one ends first.
    // Both, whatever became of the one: a task that is left behind would disturb the next case.
    let ended = [second, first].map(|waiting| bench.finish(Started::Waits(waiting), |op| bench.agree(op)));
    for ended in ended {
        require(ended?.step.send.as_ref() == Some(&alone), "its outcome is not what it is alone")?;
    }
    Ok(())
}

pub(super) fn concurrent(bench: &Bench<'_>) -> Verdict {
    let alone = bench.send(&bench.send_document(), |op| bench.agree(op))?.0;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..OPERATIONS_PER_THREAD {
                        let (outcome, _) = bench.send(&bench.send_document(), |op| bench.agree(op))?;
                        require(outcome == alone, "an outcome is not what it is alone")?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("the suite does not panic"))
    })
}

pub(super) fn result_twice(bench: &Bench<'_>) -> Verdict {
    let waiting = bench.waiting()?;
    let results: Vec<IoResult> = waiting
        .requests
        .iter()
        .flat_map(|request| (0..2).map(|_| IoResult { id: request.id, result: bench.agree(&request.op) }))
        .collect();
    let again = results.clone();
    let mut state = bench.resume(&waiting, results)?;
    if let Started::Waits(more) = state {
        // Together with what is new, what had its result before.
        let results = more.requests.iter().map(|it| IoResult { id: it.id, result: bench.agree(&it.op) }).chain(again);
        state = bench.resume(&more, results.collect())?;
    }
    bench.finish(state, |op| bench.agree(op)).map(drop)
}

pub(super) fn many_wait(bench: &Bench<'_>) -> Verdict {
    let alone = bench.send(&bench.send_document(), |op| bench.agree(op))?.0;
    let waiting: Vec<Waiting> = (0..MANY).map(|_| bench.waiting()).collect::<Result<_, _>>()?;
    let mut numbers = HashSet::new();
    require(waiting.iter().all(|waiting| numbers.insert(waiting.task)), "two that wait have one number")?;
    // All of them, whatever became of one: a task that is left behind would disturb the next case.
    let ended: Vec<_> =
        waiting.into_iter().rev().map(|waiting| bench.finish(Started::Waits(waiting), |op| bench.agree(op))).collect();
    for ended in ended {
        require(ended?.step.send.as_ref() == Some(&alone), "its outcome is not what it is alone")?;
    }
    Ok(())
}

pub(super) fn numbers_are_new(bench: &Bench<'_>) -> Verdict {
    let mut numbers = HashSet::new();
    for turn in 0..100 {
        let waiting = bench.waiting()?;
        require(numbers.insert(waiting.task), format!("the number {} was used twice", waiting.task))?;
        if turn % 2 == 0 {
            bench.plugin.free_task(waiting.task);
        } else {
            bench.finish(Started::Waits(waiting), |op| bench.agree(op))?;
        }
    }
    Ok(())
}

pub(super) fn other_threads(bench: &Bench<'_>) -> Verdict {
    let alone = bench.send(&bench.send_document(), |op| bench.agree(op))?.0;
    let waiting = bench.waiting()?;
    let freed = bench.waiting()?.task;
    let ended = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                bench.plugin.free_task(freed);
                bench.finish(Started::Waits(waiting), |op| bench.agree(op))
            })
            .join()
            .expect("the suite does not panic")
    })?;
    require(ended.step.send.as_ref() == Some(&alone), "the outcome is not what it is on one thread")?;
    let (status, _) = bench.plugin.resume(freed, NO_RESULTS);
    require(status == Status::UnknownTask as i32, format!("the one that was freed answered status {status}"))
}

pub(super) fn freed_while_others_go_on(bench: &Bench<'_>) -> Verdict {
    let alone = bench.send(&bench.send_document(), |op| bench.agree(op))?.0;
    let freed: Vec<u64> = (0..MANY).map(|_| bench.waiting().map(|it| it.task)).collect::<Result<_, _>>()?;
    let (begun, begin) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let alone = &alone;
        let working = scope.spawn(move || {
            for _ in 0..OPERATIONS_PER_THREAD {
                let (outcome, _) = bench.send(&bench.send_document(), |op| bench.agree(op))?;
                // Nobody listens any more after the first.
                let _ = begun.send(());
                require(outcome == *alone, "an outcome is not what it is alone")?;
            }
            Ok(())
        });
        // All of them wait during the first operation; whether that worked is the other thread's to say.
        let _ = begin.recv();
        freed.iter().for_each(|task| bench.plugin.free_task(*task));
        working.join().expect("the suite does not panic")
    })
}

pub(super) fn each_its_own(bench: &Bench<'_>) -> Verdict {
    let document = |thread: usize, turn: usize| {
        let mut document = bench.send_document();
        document["message"]["attempt_ref"] = json!(format!("conformance.{thread}.{turn}"));
        document["message"]["message_id"] = json!(format!("msg_{thread}_{turn}"));
        document
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let mut outcomes = Vec::new();
                    for turn in 0..OPERATIONS_PER_THREAD {
                        outcomes.push(bench.send(&document(thread, turn), |op| bench.agree(op))?.0);
                    }
                    Ok(outcomes)
                })
            })
            .collect();
        for (thread, joined) in threads.into_iter().enumerate() {
            for (turn, outcome) in joined.join().expect("the suite does not panic")?.into_iter().enumerate() {
                let (alone, _) = bench.send(&document(thread, turn), |op| bench.agree(op))?;
                require(outcome == alone, format!("{outcome:?} is not what it is alone: {alone:?}"))?;
            }
        }
        Ok(())
    })
}

pub(super) fn connection_is_given_up(bench: &Bench<'_>) -> Verdict {
    if !bench.description()?.capabilities.connects {
        return skip("the adapter keeps no connections");
    }
    let Started::Waits(waiting) = bench.start(&bench.connect_document())? else {
        return skip("the connection ends before it waits");
    };
    bench.plugin.free_task(waiting.task);
    let (status, _) = bench.plugin.resume(waiting.task, NO_RESULTS);
    require(status == Status::UnknownTask as i32, format!("`resume` answered status {status}"))
}
