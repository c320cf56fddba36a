//! The kinds of runs, each with a leaking and a clean twin that differ in nothing but the leak.

use crate::dice::Dice;
use crate::scene::{Dirt, Leak, Scene};

/// A kind of run: its name, and the scene of a draw, where leaking with what leaks.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) draw: fn(&mut Dice) -> (Scene, Leak),
}

/// A leak that adds between a tenth and most of a pod's level over the duration.
fn steady(dice: &mut Dice) -> Leak {
    Leak::Steady(dice.scale(0.08, 0.6))
}

fn chaos(dice: &mut Dice, least: f64, most: f64) -> Scene {
    let mean = dice.scale(least, most);
    Scene {
        kills: Some((mean / 2.0, mean * 1.5)),
        ..Scene::quiet(dice)
    }
}

pub(crate) const KINDS: &[Kind] = &[
    Kind {
        name: "steady, no chaos",
        draw: |d| (Scene::quiet(d), steady(d)),
    },
    Kind {
        name: "restarts",
        draw: |d| (chaos(d, 300.0, 1200.0), steady(d)),
    },
    Kind {
        name: "restarts mask it: flat total",
        draw: |d| {
            let mut scene = chaos(d, 300.0, 600.0);
            let life = d.between(2_400.0, 5_400.0);
            let mean = life / scene.pods as f64;
            scene.kills = Some((mean * 0.7, mean * 1.3));
            (scene, Leak::Steady(d.scale(0.2, 1.2)))
        },
    },
    Kind {
        name: "grows at each kill",
        draw: |d| {
            let mean = d.scale(400.0, 1500.0);
            let scene = Scene {
                kills: Some((mean / 2.0, mean * 1.5)),
                ..Scene::quiet(d)
            };
            let total = d.scale(0.1, 0.6);
            (scene, Leak::PerKill(total * mean / 21_600.0))
        },
    },
    Kind {
        name: "long warm-up",
        draw: |d| {
            let scene = if d.chance(0.5) {
                Scene::quiet(d)
            } else {
                chaos(d, 900.0, 2400.0)
            };
            let warm = (d.between(0.2, 0.8), d.scale(200.0, 900.0));
            (Scene { warm, ..scene }, Leak::Steady(d.scale(0.12, 0.6)))
        },
    },
    Kind {
        name: "cache fills",
        draw: |d| {
            let cache = (d.between(0.1, 0.6), d.scale(1_200.0, 5_000.0));
            (
                Scene {
                    cache,
                    ..Scene::quiet(d)
                },
                Leak::Steady(d.scale(0.2, 0.8)),
            )
        },
    },
    Kind {
        name: "small counts",
        draw: |d| {
            let scene = if d.chance(0.5) {
                Scene::quiet(d)
            } else {
                chaos(d, 600.0, 2400.0)
            };
            let level = d.between(8.0, 30.0);
            let scene = Scene {
                level,
                whole_numbers: true,
                noise: d.scale(0.002, 0.02),
                ..scene
            };
            let scene = Scene {
                signal: soak_verdict::RecordedSignal::Tasks,
                ..scene
            };
            (scene, Leak::Steady(d.scale(0.2, 0.8)))
        },
    },
    Kind {
        name: "teeth",
        draw: |d| {
            let teeth = (d.between(0.2, 1.0), d.scale(120.0, 2_400.0));
            (
                Scene {
                    teeth,
                    ..Scene::quiet(d)
                },
                Leak::Steady(d.scale(0.15, 0.8)),
            )
        },
    },
    Kind {
        name: "load of an hour or less",
        draw: |d| {
            let load = (
                d.between(0.05, 0.3),
                d.scale(600.0, 3_600.0),
                d.between(0.0, 1.0),
            );
            (
                Scene {
                    load,
                    ..Scene::quiet(d)
                },
                steady(d),
            )
        },
    },
    Kind {
        name: "load of hours",
        draw: |d| {
            let load = (
                d.between(0.05, 0.3),
                d.scale(3_600.0, 14_400.0),
                d.between(0.0, 1.0),
            );
            (
                Scene {
                    load,
                    ..Scene::quiet(d)
                },
                Leak::Steady(d.scale(0.15, 0.8)),
            )
        },
    },
    Kind {
        name: "load of a day",
        draw: |d| {
            let load = (d.between(0.05, 0.3), 86_400.0, d.between(0.0, 1.0));
            (
                Scene {
                    load,
                    ..chaos(d, 300.0, 1200.0)
                },
                Leak::Steady(d.scale(0.2, 0.8)),
            )
        },
    },
    Kind {
        name: "load of a day, no chaos",
        draw: |d| {
            let load = (d.between(0.05, 0.3), 86_400.0, d.between(0.0, 1.0));
            let scene = Scene {
                load,
                ..Scene::quiet(d)
            };
            (scene, Leak::Steady(d.scale(0.2, 0.8)))
        },
    },
    Kind {
        name: "one change of level",
        draw: |d| {
            let at = d.between(2_000.0, 20_000.0);
            let size = d.between(0.05, 0.4) * if d.chance(0.3) { -1.0 } else { 1.0 };
            let shift = Some((size, at, d.chance(0.7)));
            (
                Scene {
                    shift,
                    ..Scene::quiet(d)
                },
                Leak::Steady(d.scale(0.2, 0.8)),
            )
        },
    },
    Kind {
        name: "stairs",
        draw: |d| {
            let scene = Scene::quiet(d);
            let steps = d.between(5.0, 20.0).round();
            (scene, Leak::Stairs(d.scale(0.12, 0.6), steps))
        },
    },
    Kind {
        name: "accelerating",
        draw: |d| (Scene::quiet(d), Leak::Accelerating(d.scale(0.12, 0.8))),
    },
    Kind {
        name: "pods are added",
        draw: |d| {
            (
                Scene {
                    ramp: true,
                    ..Scene::quiet(d)
                },
                Leak::Steady(d.scale(0.15, 0.8)),
            )
        },
    },
    Kind {
        name: "one pod of many",
        draw: |d| {
            let pods = d.one_of(&[6, 10, 20]);
            (
                Scene {
                    pods,
                    ..Scene::quiet(d)
                },
                Leak::OnePod(d.scale(0.2, 0.8)),
            )
        },
    },
    Kind {
        name: "one label of many",
        draw: |d| {
            let labels = d.one_of(&[4, 6, 10]);
            (
                Scene {
                    labels,
                    ..Scene::quiet(d)
                },
                Leak::OneLabel(d.scale(0.3, 1.5)),
            )
        },
    },
    Kind {
        name: "survivors lifted for a while",
        draw: |d| {
            let lift = (d.between(0.05, 0.3), d.between(20.0, 180.0));
            (
                Scene {
                    lift,
                    ..chaos(d, 400.0, 1500.0)
                },
                steady(d),
            )
        },
    },
    Kind {
        name: "dirty samples",
        draw: |d| {
            let scene = if d.chance(0.5) {
                Scene::quiet(d)
            } else {
                chaos(d, 600.0, 1500.0)
            };
            let dirt = Dirt {
                missed: d.between(0.0, 0.2),
                null: d.between(0.0, 0.05),
                doubled: d.between(0.0, 0.1),
                outliers: d.between(0.0, 0.02),
                shuffled: d.chance(0.5),
            };
            (Scene { dirt, ..scene }, steady(d))
        },
    },
    Kind {
        name: "slow wander, AR(1) 0.99",
        draw: |d| {
            let scene = Scene {
                correlation: 0.99,
                noise: d.scale(0.002, 0.03),
                ..Scene::quiet(d)
            };
            (scene, Leak::Steady(d.scale(0.1, 0.6)))
        },
    },
    Kind {
        name: "a bit of everything",
        draw: |d| {
            let scene = if d.chance(0.5) {
                Scene::quiet(d)
            } else {
                chaos(d, 400.0, 1500.0)
            };
            let load = (
                d.between(0.0, 0.1),
                d.scale(600.0, 7_200.0),
                d.between(0.0, 1.0),
            );
            let cache = (d.between(0.0, 0.2), d.scale(600.0, 3_000.0));
            let teeth = (d.between(0.0, 0.2), d.scale(60.0, 600.0));
            let lift = (d.between(0.0, 0.1), 60.0);
            let dirt = Dirt {
                missed: 0.02,
                null: 0.01,
                outliers: 0.003,
                ..Dirt::default()
            };
            (
                Scene {
                    cache,
                    lift,
                    load,
                    teeth,
                    dirt,
                    ..scene
                },
                Leak::Steady(d.scale(0.2, 0.8)),
            )
        },
    },
    Kind {
        name: "load of a day, told",
        draw: |d| {
            let load = (d.between(0.05, 0.3), 86_400.0, d.between(0.0, 1.0));
            let scene = Scene {
                load,
                per: Some("messages_per_second"),
                ..chaos(d, 300.0, 1200.0)
            };
            (scene, Leak::Steady(d.scale(0.2, 0.8)))
        },
    },
    Kind {
        name: "load of a day, told, no chaos",
        draw: |d| {
            let load = (d.between(0.05, 0.3), 86_400.0, d.between(0.0, 1.0));
            let scene = Scene {
                load,
                per: Some("messages_per_second"),
                ..Scene::quiet(d)
            };
            (scene, Leak::Steady(d.scale(0.2, 0.8)))
        },
    },
];
