//! Mixtures of experts: routes by hand, products against the experts one by one.

mod kit;

use kit::{Random, bits, compute, each_table, empty, product, rows_of};
use realizar_quant::DType;
use realizar_tensor::{Compute, ExpertProduct, GroupScore, Kernels, RouteSpec, Routes, Scoring, Vector};

fn spec(experts: usize, used: usize, scoring: Scoring) -> RouteSpec<'static> {
    RouteSpec {
        experts,
        used,
        scoring,
        selection_bias: None,
        groups: 0,
        groups_used: 0,
        group_score: GroupScore::BestTwo,
        normalise: false,
        scale: 1.0,
    }
}

fn route(compute: &mut Compute, logits: &[f32], spec: &RouteSpec<'_>) -> (Vec<u32>, Vec<f32>) {
    let mut routes = Routes::with_capacity(1, spec.used);
    compute.route(&rows_of(spec.experts, logits), spec, &mut routes);
    assert_eq!((routes.rows(), routes.used()), (logits.len() / spec.experts, spec.used));
    (routes.experts().to_vec(), routes.weights().to_vec())
}

fn close(found: &[f32], expected: &[f32]) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6)
}

#[test]
fn the_best_are_chosen() {
    let mut compute = compute(Kernels::detect(), 1);
    let ln = |x: f32| x.ln();
    let logits = [ln(1.0), ln(4.0), ln(2.0), ln(1.0)];
    let plain = spec(4, 2, Scoring::Softmax);
    let bias = Vector::from_vec(vec![1.0, 0.0, 0.0, 0.9]);
    let cases = [
        ("softmax", plain, [1, 2], [0.5, 0.25]),
        ("normalised", RouteSpec { normalise: true, ..plain }, [1, 2], [2.0 / 3.0, 1.0 / 3.0]),
        ("scaled", RouteSpec { scale: 2.0, ..plain }, [1, 2], [1.0, 0.5]),
        ("sigmoid", spec(4, 2, Scoring::Sigmoid), [1, 2], [0.8, 2.0 / 3.0]),
        ("softmax of the chosen", spec(4, 2, Scoring::SoftmaxOfChosen), [1, 2], [2.0 / 3.0, 1.0 / 3.0]),
        ("a bias for choosing", RouteSpec { selection_bias: Some(&bias), ..plain }, [0, 3], [0.125, 0.125]),
        ("the best group", RouteSpec { groups: 2, groups_used: 1, ..plain }, [1, 0], [0.5, 0.125]),
        ("groups of one", RouteSpec { groups: 4, groups_used: 2, ..plain }, [1, 2], [0.5, 0.25]),
    ];
    for (name, spec, experts, weights) in cases {
        let (found, weighed) = route(&mut compute, &logits, &spec);
        assert_eq!(found, experts, "{name}");
        assert!(close(&weighed, &weights), "{name}: {weighed:?}");
    }
    let uneven = [6.0, 1.0, 4.0, 4.0].map(f32::ln);
    for (group_score, chosen) in [(GroupScore::Best, [0, 1]), (GroupScore::BestTwo, [2, 3])] {
        let spec = RouteSpec { groups: 2, groups_used: 1, group_score, ..plain };
        assert_eq!(route(&mut compute, &uneven, &spec).0, chosen, "{group_score:?}");
    }
    let tied = route(&mut compute, &[1.0; 4], &plain);
    assert_eq!(tied.0, [0, 1], "of equals the lower");
    let tied = route(&mut compute, &[1.0; 4], &RouteSpec { groups: 2, groups_used: 1, ..plain });
    assert_eq!(tied.0, [0, 1], "of equal groups the first");
    let tiny = RouteSpec { normalise: true, ..spec(2, 1, Scoring::Sigmoid) };
    assert!(route(&mut compute, &[-100.0, -101.0], &tiny).1[0] < 1e-30, "no division by almost nothing");
}

#[test]
fn nan_is_chosen_last_and_each_expert_once() {
    let mut compute = compute(Kernels::detect(), 1);
    for scoring in [Scoring::Sigmoid, Scoring::SoftmaxOfChosen, Scoring::Softmax] {
        for logits in [[f32::NAN; 4], [f32::NAN, 1.0, 2.0, f32::NAN], [1.0, 2.0, f32::INFINITY, 0.0]] {
            let (mut experts, _) = route(&mut compute, &logits, &spec(4, 3, scoring));
            if scoring == Scoring::Sigmoid && logits[1] == 1.0 {
                assert_eq!(experts[..2], [2, 1]);
            }
            experts.sort_unstable();
            experts.dedup();
            assert_eq!(experts.len(), 3, "{scoring:?} of {logits:?}");
        }
    }
}

#[test]
fn experts_multiply_their_rows() {
    each_table(|kernels| {
        for threads in [1, 2] {
            let mut compute = compute(kernels, threads);
            for dtype in [DType::Q4_K, DType::Q8_0, DType::F32, DType::F16] {
                let (experts, used, tokens, width, k) = (5, 2, 23, 36, 256);
                let mut random = Random::new(21);
                let weight = random.matrix(dtype, experts * width, k);
                let other = random.matrix(DType::Q6_K, experts * 20, k);
                let bias = random.vector(experts * width);
                let x = random.rows(tokens, k);
                let mut routes = Routes::with_capacity(tokens, used);
                // Expert 3 gets nothing.
                let mut logits = random.values(tokens * experts);
                logits.iter_mut().skip(3).step_by(experts).for_each(|x| *x = -50.0);
                compute.route(
                    &rows_of(experts, &logits),
                    &spec(experts, used, Scoring::Softmax),
                    &mut routes,
                );
                let (mut out, mut second) = (empty(tokens * used, width), empty(tokens * used, 20));
                compute.matmul_experts(
                    &x,
                    &routes,
                    &mut [
                        ExpertProduct { weight: &weight, bias: Some(&bias), out: &mut out },
                        ExpertProduct { weight: &other, bias: None, out: &mut second },
                    ],
                );
                let mut own = empty(tokens * used, k);
                own.write(
                    &(0..tokens * used).flat_map(|route| x.row(route / used).to_vec()).collect::<Vec<_>>(),
                );
                let mut again = empty(tokens * used, width);
                let product_again = ExpertProduct { weight: &weight, bias: Some(&bias), out: &mut again };
                compute.matmul_experts(&own, &routes, &mut [product_again]);
                let name = format!("{dtype} on {}, {threads} threads", kernels.name());
                assert_eq!(bits(out.read()), bits(again.read()), "{name}");
                let mut expected = empty(tokens, width);
                let mut sums = vec![0.0; tokens * width];
                for (route, &expert) in routes.experts().iter().enumerate() {
                    let expert = expert as usize;
                    let row = rows_of(k, x.row(route / used));
                    let part = weight.slice_rows(expert * width..(expert + 1) * width).expect("expert");
                    let bias = Vector::from_vec(bias.as_slice()[expert * width..][..width].to_vec());
                    let one = product(&mut compute, &row, &part, Some(&bias));
                    assert_eq!(bits(out.row(route)), bits(&one), "route {route} of {name}");
                    let part = other.slice_rows(expert * 20..(expert + 1) * 20).expect("expert");
                    assert_eq!(
                        bits(second.row(route)),
                        bits(&product(&mut compute, &row, &part, None)),
                        "{name}"
                    );
                    let weight = routes.weights()[route];
                    sums[route / used * width..][..width]
                        .iter_mut()
                        .zip(&one)
                        .for_each(|(sum, y)| *sum += weight * y);
                }
                compute.combine(&out, &routes, &mut expected);
                let worst = expected.read().iter().zip(&sums).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst < 1e-5, "{name}: {worst}");
            }
            let routes = Routes::with_capacity(1, 2);
            let weight = Random::new(1).matrix(DType::F32, 8, 4);
            let mut out = empty(2, 4);
            compute.matmul_experts(
                &empty(1, 4),
                &routes,
                &mut [ExpertProduct { weight: &weight, bias: None, out: &mut out }],
            );
            assert_eq!(out.rows(), 0);
        }
    });
}

#[test]
#[should_panic(expected = "3 of 2 experts")]
fn there_must_be_enough_experts() {
    route(&mut compute(Kernels::detect(), 1), &[0.0, 1.0], &spec(2, 3, Scoring::Softmax));
}

#[test]
#[should_panic(expected = "routes to no expert")]
fn a_route_leads_somewhere() {
    let _ = Routes::with_capacity(1, 0);
}
