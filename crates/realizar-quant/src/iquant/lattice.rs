//! Finding the point of a grid for given levels: the point itself, or the candidates around it.

use std::sync::LazyLock;

use super::grids;

/// Where some levels lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// They are the point of this index.
    Point(u16),
    /// They are no point; these are the closest, nearest first, lower index first.
    Near(&'a [u16]),
}

/// A grid over `D` coordinates of some levels each, with the neighbours of every place between its points.
#[derive(Debug)]
pub(crate) struct Lattice<const D: usize> {
    /// The levels of the points.
    points: Vec<[u8; D]>,
    /// `2 level + 1` of the points, the values that IQ2 and IQ3 scale.
    odd: Vec<[f32; D]>,
    levels: usize,
    /// For each place, in the number system of `levels`: the point's index, or the complement of a place in `near`.
    places: Vec<i32>,
    near: Vec<Vec<u16>>,
}

/// Of `IQ2_XXS`.
pub(crate) static IQ2_XXS: LazyLock<Lattice<8>> = LazyLock::new(|| Lattice::eights(&grids::IQ2_XXS, 2));
/// Of `IQ2_XS`.
pub(crate) static IQ2_XS: LazyLock<Lattice<8>> = LazyLock::new(|| Lattice::eights(&grids::IQ2_XS, 2));
/// Of `IQ2_S`.
pub(crate) static IQ2_S: LazyLock<Lattice<8>> = LazyLock::new(|| Lattice::eights(&grids::IQ2_S, 1));
/// Of `IQ1_S` and `IQ1_M`.
pub(crate) static IQ1: LazyLock<Lattice<8>> = LazyLock::new(|| Lattice::eights(&grids::IQ1, 3));
/// Of `IQ3_XXS`.
pub(crate) static IQ3_XXS: LazyLock<Lattice<4>> = LazyLock::new(|| Lattice::fours(&grids::IQ3_XXS, 2));
/// Of `IQ3_S`.
pub(crate) static IQ3_S: LazyLock<Lattice<4>> = LazyLock::new(|| Lattice::fours(&grids::IQ3_S, 3));

impl Lattice<8> {
    fn eights(packed: &[u16], shells: usize) -> Self {
        let unpack = |point: &u16| std::array::from_fn(|i| (point >> (2 * i) & 3) as u8);
        Self::new(packed.iter().map(unpack).collect(), 3, shells)
    }
}

impl Lattice<4> {
    fn fours(packed: &[u16], shells: usize) -> Self {
        let unpack = |point: &u16| std::array::from_fn(|i| (point >> (3 * i) & 7) as u8);
        Self::new(packed.iter().map(unpack).collect(), 8, shells)
    }
}

impl<const D: usize> Lattice<D> {
    /// Every place that is no point gets the points at the `shells` smallest distances from it.
    fn new(points: Vec<[u8; D]>, levels: usize, shells: usize) -> Self {
        let odd = points.iter().map(|point| point.map(|level| f32::from(2 * level + 1))).collect();
        let places = vec![-1; levels.pow(D as u32)];
        let mut lattice = Self { points, odd, levels, places, near: Vec::new() };
        for (index, point) in lattice.points.iter().enumerate() {
            let place = lattice.place(point);
            lattice.places[place] = index as i32;
        }
        for place in 0..lattice.places.len() {
            if lattice.places[place] < 0 {
                lattice.places[place] = !(lattice.near.len() as i32);
                lattice.near.push(lattice.neighbours(place, shells));
            }
        }
        lattice
    }

    fn place(&self, levels: &[u8; D]) -> usize {
        levels.iter().fold(0, |place, &level| place * self.levels + usize::from(level))
    }

    fn neighbours(&self, mut place: usize, shells: usize) -> Vec<u16> {
        let mut levels = [0u8; D];
        for level in levels.iter_mut().rev() {
            *level = (place % self.levels) as u8;
            place /= self.levels;
        }
        let distance = |point: &[u8; D]| -> u16 {
            point.iter().zip(&levels).map(|(p, l)| u16::from(p.abs_diff(*l)).pow(2)).sum()
        };
        let distances: Vec<u16> = self.points.iter().map(distance).collect();
        // No distance is larger than 4 x 7^2.
        let mut present = [false; 197];
        for &distance in &distances {
            present[usize::from(distance)] = true;
        }
        let shells = present
            .iter()
            .zip(0..)
            .filter(|(present, _)| **present)
            .map(|(_, distance)| distance)
            .take(shells);
        let furthest = shells.last().unwrap_or_default();
        let mut near: Vec<(u16, u16)> =
            distances.into_iter().zip(0..).filter(|near| near.0 <= furthest).collect();
        near.sort_unstable();
        near.into_iter().map(|(_, index)| index).collect()
    }

    /// The levels of a point.
    pub(crate) fn point(&self, index: u16) -> &[u8; D] {
        &self.points[usize::from(index)]
    }

    /// The levels of a point as odd numbers.
    pub(crate) fn odd(&self, index: u16) -> &[f32; D] {
        &self.odd[usize::from(index)]
    }

    /// The point with these levels, or those around it.
    pub(crate) fn find(&self, levels: &[u8; D]) -> Found<'_> {
        match self.places[self.place(levels)] {
            index @ 0.. => Found::Point(index as u16),
            near => Found::Near(&self.near[!near as usize]),
        }
    }

    /// Of the points with these indices the first with the least error.
    pub(crate) fn best(&self, near: &[u16], error: impl Fn(u16) -> f32) -> u16 {
        let (mut best, mut least) = (near[0], f32::MAX);
        for &index in near {
            let error = error(index);
            if error < least {
                (best, least) = (index, error);
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_found_and_gaps_have_neighbours() {
        for index in 0..256 {
            assert_eq!(IQ2_XXS.find(IQ2_XXS.point(index)), Found::Point(index));
            assert_eq!(IQ3_XXS.find(IQ3_XXS.point(index)), Found::Point(index));
        }
        // The nearest points to 1 0 0 0 0 0 0 0 are at distances 1 and 3.
        let Found::Near(near) = IQ2_XXS.find(&[1, 0, 0, 0, 0, 0, 0, 0]) else { panic!("not a point") };
        let distances: Vec<u32> = near
            .iter()
            .map(|&i| {
                let point = IQ2_XXS.point(i);
                u32::from(point[0].abs_diff(1).pow(2))
                    + point[1..].iter().map(|&l| u32::from(l).pow(2)).sum::<u32>()
            })
            .collect();
        assert!(distances.is_sorted());
        assert_eq!((distances[0], distances[distances.len() - 1]), (1, 3));
    }

    #[test]
    fn the_first_of_equal_errors_wins() {
        assert_eq!(IQ3_S.best(&[7, 3, 9], |_| 1.0), 7);
        assert_eq!(IQ3_S.best(&[7, 3, 9], |_| f32::NAN), 7);
    }
}
