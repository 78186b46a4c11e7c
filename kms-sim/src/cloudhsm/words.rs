//! Closed sets of words that AWS CloudHSM and the control of a simulated cluster use.

macro_rules! words {
    ($($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+ })+) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, serde::Deserialize, Eq, PartialEq, serde::Serialize)]
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every word, for those who must choose one.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// What a word stands for.
            pub fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    )+ };
}

words! {
    /// `State` of a cluster (`ClusterState` of the CloudHSM API); KMS wants it ACTIVE.
    ClusterState {
        /// Being created.
        CreateInProgress = "CREATE_IN_PROGRESS",
        /// Created; nobody has claimed it.
        Uninitialized = "UNINITIALIZED",
        /// Being initialized.
        InitializeInProgress = "INITIALIZE_IN_PROGRESS",
        /// Claimed with a customerCA; has no users yet.
        Initialized = "INITIALIZED",
        /// Has users: can be used.
        Active = "ACTIVE",
        /// HSMs come or go.
        UpdateInProgress = "UPDATE_IN_PROGRESS",
        /// Its settings change.
        ModifyInProgress = "MODIFY_IN_PROGRESS",
        /// Such a change is taken back.
        RollbackInProgress = "ROLLBACK_IN_PROGRESS",
        /// Being deleted.
        DeleteInProgress = "DELETE_IN_PROGRESS",
        /// Not all of it works.
        Degraded = "DEGRADED",
    }

    /// `State` of an HSM (`HsmState` of the CloudHSM API).
    HsmState {
        /// Being created.
        CreateInProgress = "CREATE_IN_PROGRESS",
        /// Works.
        Active = "ACTIVE",
        /// Does not work.
        Degraded = "DEGRADED",
        /// Being deleted.
        DeleteInProgress = "DELETE_IN_PROGRESS",
        /// Deleted.
        Deleted = "DELETED",
    }

    /// What a person does to the `kmsuser` of a cluster.
    KmsuserChange {
        /// Deletes the user. Setting a password creates it again.
        Delete = "missing",
        /// Gives five wrong passwords in a row.
        LockOut = "locked",
        /// Unlocks the user without changing the password.
        Unlock = "unlocked",
        /// Logs in as `kmsuser`.
        LogIn = "logged-in",
        /// Logs out.
        LogOut = "logged-out",
    }
}
