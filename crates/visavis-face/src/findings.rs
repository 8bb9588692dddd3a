//! What one look of one network says about one face.

/// What was found. A network fills the fields of its tasks and leaves the rest empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Findings {
    /// Age.
    pub age: Option<Age>,
    /// Share of "female", 0 to 1; the rest is "male".
    pub female: Option<f32>,
    /// Smiling.
    pub smile: Option<Smile>,
    /// Embedding, as long as the network makes it, not normalised.
    pub embedding: Option<Vec<f32>>,
}

impl Findings {
    /// Takes over what `other` knows.
    pub fn merge(&mut self, other: Findings) {
        self.age = other.age.or(self.age.take());
        self.female = other.female.or(self.female);
        self.smile = other.smile.or(self.smile);
        self.embedding = other.embedding.or(self.embedding.take());
    }
}

/// An age estimate.
#[derive(Debug, Clone, PartialEq)]
pub struct Age {
    /// Years.
    pub years: f32,
    /// Probability of each year from 0 on, where the network tells it.
    pub distribution: Option<Box<[f32]>>,
}

impl Age {
    /// Age = Σ p·i over the classes (DESIGN: the expectation is steadier than the likeliest class).
    #[must_use]
    pub fn from_distribution(distribution: Box<[f32]>) -> Self {
        let total: f32 = distribution.iter().sum();
        let sum: f32 = distribution.iter().enumerate().map(|(year, p)| year as f32 * p).sum();
        Self { years: if total > 0.0 { sum / total } else { 0.0 }, distribution: Some(distribution) }
    }
}

/// A smile estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Smile {
    /// Share of "smiling", 0 to 1.
    pub share: f32,
    /// From here on it counts as a smile (the network's own threshold).
    pub threshold: f32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectation_by_hand() {
        let mut classes = vec![0.0; 101];
        classes[30] = 0.5;
        classes[40] = 0.5;
        assert_eq!(Age::from_distribution(classes.into()).years, 35.0);
        assert_eq!(Age::from_distribution(vec![0.0; 101].into()).years, 0.0);
    }

    #[test]
    fn merge_keeps_what_the_other_does_not_know() {
        let mut a = Findings { female: Some(0.3), ..Findings::default() };
        a.merge(Findings { age: Some(Age { years: 4.0, distribution: None }), ..Findings::default() });
        a.merge(Findings { female: Some(0.9), ..Findings::default() });
        assert_eq!((a.age.map(|age| age.years), a.female), (Some(4.0), Some(0.9)));
    }
}
